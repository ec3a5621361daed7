// Uses the `openai` package from npm against the server at argv[2], with the base64 of a picture in argv[3]; prints what it got as one JSON object.
import OpenAI from 'openai'

const openai = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: 'none', maxRetries: 0 })
const messages = [{ role: 'user', content: 'Tell me.' }]
const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const tools = [{ type: 'function', function: { name: 'weather', description: 'Weather of a city.', parameters } }]
const got = {}

got.models = (await openai.models.list()).data.map((model) => model.id).sort()
got.chat = (await openai.chat.completions.create({ model: 'story', messages })).choices[0].message.content
got.streamed = ''
for await (const part of await openai.chat.completions.create({ model: 'story', messages, stream: true })) {
  got.streamed += part.choices[0]?.delta?.content ?? ''
}
got.generated = (await openai.completions.create({ model: 'story', prompt: 'Tell me.', max_tokens: 3 })).choices[0].text
got.calls = (await openai.chat.completions.create({ model: 'caller', messages, tools })).choices[0].message.tool_calls
  .map((call) => ({ name: call.function.name, arguments: JSON.parse(call.function.arguments) }))
const format = { type: 'json_schema', json_schema: { name: 'place', schema: parameters } }
got.structured = JSON.parse(
  (await openai.chat.completions.create({ model: 'json', messages, response_format: format })).choices[0].message.content)
got.dimensions = (await openai.embeddings.create({ model: 'bert', input: ['the cat', 'hello'] })).data
  .map((entry) => entry.embedding.length)
got.response = (await openai.responses.create({ model: 'story', input: 'Tell me.' })).output_text
const text = { type: 'text', text: 'Tell me.' }
const picture = { type: 'image_url', image_url: { url: `data:image/png;base64,${process.argv[3]}` } }
const seen = async (content) => (await openai.chat.completions.create({
  model: 'eyes', messages: [{ role: 'user', content }], max_tokens: 3,
})).usage.prompt_tokens
got.cells = await seen([text, picture]) - await seen([text])
try {
  await openai.chat.completions.create({ model: 'nope', messages })
} catch (error) {
  got.error = { message: error.error.message, status: error.status }
}
const endless = await openai.chat.completions.create({ model: 'loop', messages, stream: true, max_tokens: 100000 })
for await (const part of endless) {
  if (part.choices[0]?.delta?.content) {
    endless.controller.abort()
    got.aborted = 'AbortError'
    break
  }
}
console.log(JSON.stringify(got))
