// Uses the `ollama` package from npm against the server at argv[2], with the base64 of a picture in argv[3]; prints what it got as one JSON object.
import { Ollama } from 'ollama'

const ollama = new Ollama({ host: process.argv[2] })
const messages = [{ role: 'user', content: 'Tell me.' }]
const tools = [{
  type: 'function',
  function: {
    name: 'weather',
    description: 'Weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}]
const got = {}

got.models = (await ollama.list()).models.map((model) => model.name).sort()
got.chat = (await ollama.chat({ model: 'story', messages })).message.content
got.streamed = ''
for await (const part of await ollama.chat({ model: 'story', messages, stream: true })) got.streamed += part.message.content
got.generated = (await ollama.generate({ model: 'story', prompt: 'Tell me.', options: { num_predict: 3 } })).response
got.calls = (await ollama.chat({ model: 'caller', messages, tools })).message.tool_calls.map((call) => call.function)
got.structured = JSON.parse((await ollama.chat({
  model: 'json', messages, format: tools[0].function.parameters,
})).message.content)
got.dimensions = (await ollama.embed({ model: 'bert', input: ['the cat', 'hello'] })).embeddings.map((v) => v.length)
const seen = async (images) => (await ollama.chat({
  model: 'eyes', messages: [{ ...messages[0], images }], options: { num_predict: 3 },
})).prompt_eval_count
got.cells = await seen([process.argv[3]]) - await seen([])
try {
  await ollama.chat({ model: 'nope', messages })
} catch (error) {
  got.error = { message: error.error, status: error.status_code }
}
try {
  const endless = await ollama.chat({ model: 'loop', messages, stream: true, options: { num_predict: 100000 } })
  for await (const part of endless) {
    if (part.message.content) endless.abort()
  }
} catch (error) {
  got.aborted = error.name
}
console.log(JSON.stringify(got))
