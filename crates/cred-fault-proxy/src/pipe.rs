//! One connection through the proxy, request by request.

use std::io;
use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Fault;
use crate::proxy::Shared;

/// The maximum number of bytes that are forwarded at once.
const CHUNK: usize = 16 * 1_024;

/// Forwards requests and answers until either side or a fault closes the connection.
pub(crate) async fn run(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = shared.connect().await?;
    server.set_nodelay(true)?;
    let mut request_buffer = vec![0; CHUNK];
    let mut answer_buffer = vec![0; CHUNK];
    // The bytes that the client sends after an answer are the next request.
    let mut answering = true;
    let mut fault = None;
    let mut forwarded = 0;
    loop {
        tokio::select! {
            read = client.read(&mut request_buffer) => {
                let chunk = match read? {
                    0 => return Ok(()),
                    count => request_buffer.get(..count).unwrap_or_default(),
                };
                if std::mem::take(&mut answering) {
                    fault = shared.next();
                    forwarded = 0;
                }
                match &fault {
                    Some(Fault::Stall) => return stall(client).await,
                    Some(Fault::Answer(answer)) => return answer_alone(client, chunk.to_vec(), answer).await,
                    _ => server.write_all(chunk).await?,
                }
            }
            read = server.read(&mut answer_buffer) => {
                let chunk = match read? {
                    0 => return client.shutdown().await,
                    count => answer_buffer.get(..count).unwrap_or_default(),
                };
                match fault {
                    Some(Fault::Latency(delay)) if !answering => sleep(delay).await,
                    Some(Fault::LoseAnswer) => return Ok(()),
                    Some(Fault::StallAfter(after)) if forwarded + chunk.len() >= after => {
                        client.write_all(chunk.get(..after - forwarded).unwrap_or_default()).await?;
                        return stall(client).await;
                    }
                    Some(Fault::Reset(after)) if forwarded + chunk.len() >= after => {
                        client.write_all(chunk.get(..after - forwarded).unwrap_or_default()).await?;
                        return client.set_zero_linger();
                    }
                    Some(Fault::Truncate(after)) if forwarded + chunk.len() >= after => {
                        client.write_all(chunk.get(..after - forwarded).unwrap_or_default()).await?;
                        return client.shutdown().await;
                    }
                    _ => {}
                }
                answering = true;
                forwarded += chunk.len();
                client.write_all(chunk).await?;
            }
        }
    }
}

/// Reads and discards everything without an answer, until the client disconnects.
async fn stall(mut client: TcpStream) -> io::Result<()> {
    let mut discarded = vec![0; CHUNK];
    while client.read(&mut discarded).await? > 0 {}
    Ok(())
}

/// Reads one complete HTTP request, answers it and closes the connection. A client that is still
/// sending would see a reset instead of the answer.
async fn answer_alone(mut client: TcpStream, mut request: Vec<u8>, answer: &[u8]) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while !is_whole(&request) {
        match client.read(&mut chunk).await? {
            0 => return Ok(()),
            count => request.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    client.write_all(answer).await?;
    client.shutdown().await?;
    // Until the client has read the answer and disconnects.
    let rest = pin!(stall(client));
    rest.await
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let head_len = request.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    request.len() >= head_len + length.unwrap_or_default()
}
