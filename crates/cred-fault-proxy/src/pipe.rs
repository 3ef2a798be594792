//! One connection through the proxy, request by request.

use std::io;
use std::pin::pin;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::Fault;
use crate::proxy::Shared;

/// Bytes that are passed on at once.
const CHUNK: usize = 16 * 1_024;

/// Carries requests and answers until either side ends, or a fault does.
pub(crate) async fn run(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut server = shared.connect().await?;
    server.set_nodelay(true)?;
    let mut asked = vec![0; CHUNK];
    let mut answered = vec![0; CHUNK];
    // What the client sends after an answer is the next request.
    let mut answering = true;
    let mut fault = None;
    let mut passed = 0;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let chunk = match read? {
                    0 => return Ok(()),
                    count => asked.get(..count).unwrap_or_default(),
                };
                if std::mem::take(&mut answering) {
                    fault = shared.next();
                    passed = 0;
                }
                match &fault {
                    Some(Fault::Stall) => return stall(client).await,
                    Some(Fault::Answer(answer)) => return answer_alone(client, chunk.to_vec(), answer).await,
                    _ => server.write_all(chunk).await?,
                }
            }
            read = server.read(&mut answered) => {
                let chunk = match read? {
                    0 => return client.shutdown().await,
                    count => answered.get(..count).unwrap_or_default(),
                };
                match fault {
                    Some(Fault::Latency(delay)) if !answering => sleep(delay).await,
                    Some(Fault::LoseAnswer) => return Ok(()),
                    Some(Fault::StallAfter(after)) if passed + chunk.len() >= after => {
                        client.write_all(chunk.get(..after - passed).unwrap_or_default()).await?;
                        return stall(client).await;
                    }
                    Some(Fault::Reset(after)) if passed + chunk.len() >= after => {
                        client.write_all(chunk.get(..after - passed).unwrap_or_default()).await?;
                        return client.set_zero_linger();
                    }
                    Some(Fault::Truncate(after)) if passed + chunk.len() >= after => {
                        client.write_all(chunk.get(..after - passed).unwrap_or_default()).await?;
                        return client.shutdown().await;
                    }
                    _ => {}
                }
                answering = true;
                passed += chunk.len();
                client.write_all(chunk).await?;
            }
        }
    }
}

/// Takes everything and says nothing, until the client goes.
async fn stall(mut client: TcpStream) -> io::Result<()> {
    let mut taken = vec![0; CHUNK];
    while client.read(&mut taken).await? > 0 {}
    Ok(())
}

/// Takes one HTTP request to its end, answers it and closes: a client that still sends would see a
/// reset instead.
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
    // Until the client has read it and goes.
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
