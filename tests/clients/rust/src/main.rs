//! Uses a server as a program with `reqwest` and `serde` does, at the URL given; prints what it got as one JSON object.

use futures_util::StreamExt;
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct Message {
    role: String,
    content: String,
}

#[derive(Deserialize)]
struct Chat {
    message: Message,
    done: bool,
    done_reason: Option<String>,
    eval_count: Option<u64>,
    eval_duration: Option<u64>,
    prompt_eval_count: Option<u64>,
}

#[derive(Deserialize)]
struct Generate {
    response: String,
    context: Vec<i64>,
    prompt_eval_count: u64,
}

#[derive(Deserialize)]
struct Embed {
    embeddings: Vec<Vec<f32>>,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

async fn post<T: for<'a> Deserialize<'a>>(client: &Client, url: String, body: Value) -> Outcome<T> {
    Ok(client.post(url).json(&body).send().await?.error_for_status()?.json().await?)
}

fn user(content: &str) -> Message {
    Message { role: "user".into(), content: content.into() }
}

async fn stream(client: &Client, url: String, body: Value) -> Outcome<(String, Chat)> {
    let mut pieces = client.post(url).json(&body).send().await?.error_for_status()?.bytes_stream();
    let (mut text, mut rest) = (String::new(), Vec::new());
    while let Some(piece) = pieces.next().await {
        rest.extend_from_slice(&piece?);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let chat: Chat = serde_json::from_slice(&line)?;
            text.push_str(&chat.message.content);
            if chat.done {
                return Ok((text, chat));
            }
        }
    }
    Err("the stream ended before it was done".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let base = std::env::args().nth(1).ok_or("no URL")?;
    let client = Client::new();
    let version: Version = client.get(format!("{base}/api/version")).send().await?.json().await?;
    let chat_url = format!("{base}/api/chat");

    let mut messages = vec![user("Tell me.")];
    let first: Chat = post(
        &client,
        chat_url.clone(),
        json!({"model": "story", "messages": messages, "stream": false}),
    )
    .await?;
    messages.extend([first.message.clone(), user("More.")]);
    let (streamed, last) = stream(&client, chat_url.clone(), json!({"model": "story", "messages": messages})).await?;

    let generate_url = format!("{base}/api/generate");
    let told: Generate = post(
        &client,
        generate_url.clone(),
        json!({"model": "story", "prompt": "Tell me.", "stream": false}),
    )
    .await?;
    let more: Generate = post(
        &client,
        generate_url,
        json!({"model": "story", "prompt": "More.", "context": told.context, "stream": false}),
    )
    .await?;

    let embed: Embed = post(
        &client,
        format!("{base}/api/embed"),
        json!({"model": "bert", "input": ["the cat", "hello"]}),
    )
    .await?;
    let missing = client.post(chat_url).json(&json!({"model": "nope", "messages": messages})).send().await?;
    let status = missing.status().as_u16();
    let error: Value = missing.json().await?;

    println!(
        "{}",
        json!({
            "version": version.version,
            "chat": first.message.content,
            "done_reason": first.done_reason,
            "speed": first.eval_count.unwrap_or(0) as f64 / first.eval_duration.unwrap_or(1) as f64 * 1e9,
            "streamed": streamed,
            "longer": last.prompt_eval_count > first.prompt_eval_count,
            "generated": told.response,
            "continued": more.prompt_eval_count > told.prompt_eval_count,
            "dimensions": embed.embeddings.iter().map(Vec::len).collect::<Vec<_>>(),
            "error": {"status": status, "message": error["error"]},
        })
    );
    Ok(())
}
