//! One connection of the proxy: requests one after the other, each with its fault.

use std::pin::pin;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Shared;
use super::record::{Open, Outcome};
use super::rule::{CannedAnswer, Fault, RealAnswer, Request};
use crate::http1::{
    Body, Framing, Head, Reader, Stream, prepare_answer, prepare_request, write_end, write_piece,
};

const LARGEST_CHANGED_ANSWER: usize = 64 << 20;
/// What is read of a request whose answer came early, so that the client gets to read that answer.
const LARGEST_LEFTOVER: u64 = 256 << 20;

struct Client<S> {
    reader: Reader<ReadHalf<S>>,
    writer: WriteHalf<S>,
}

#[derive(PartialEq, Eq)]
enum Next {
    KeepOpen,
    Close,
    /// Without a farewell.
    Cut,
}

/// Serves a connection until either side closes it or the script cuts it.
pub(super) async fn serve(shared: &Shared, stream: impl Stream) {
    let (reader, writer) = tokio::io::split(stream);
    let mut client = Client {
        reader: Reader::new(reader),
        writer,
    };
    while let Ok(Some(head)) = client.reader.head().await {
        let wants_close = head.has_token("connection", "close");
        match one(shared, &mut client, head).await {
            Next::KeepOpen if !wants_close => {}
            Next::KeepOpen | Next::Close => break,
            Next::Cut => return,
        }
    }
    // TLS has a farewell, without which the client cannot tell an end from a cut
    let _ = client.writer.shutdown().await;
}

async fn one<S: Stream>(shared: &Shared, client: &mut Client<S>, head: Head) -> Next {
    let method = head.word(0).to_ascii_uppercase();
    let target = head.word(1).to_owned();
    let number = shared.recorder.begin(&method, &target, &head.headers);
    let open = Open::new(&shared.recorder, number);
    // before the decision: a change of the rules after it must be noticed
    let mut version = shared.script_version.subscribe();
    let rule = shared.script().decide(Request {
        method: &method,
        target: &target,
        headers: &head.headers,
    });
    let (delay, fault) = match rule {
        Some(rule) => {
            open.rule(&rule.name);
            (rule.delay, rule.fault)
        }
        None => (Default::default(), Fault::Forward),
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match act(shared, client, head, &method, &fault, &open, &mut version).await {
        Ok((outcome, next)) => {
            open.end(outcome);
            next
        }
        Err(error) => {
            open.end(Outcome::Failed(format!("{error:#}")));
            Next::Cut
        }
    }
}

async fn act<S: Stream>(
    shared: &Shared,
    client: &mut Client<S>,
    head: Head,
    method: &str,
    fault: &Fault,
    open: &Open<'_>,
    script_version: &mut watch::Receiver<u64>,
) -> Result<(Outcome, Next)> {
    let framing = head.request_framing()?;
    let expects = head.has_token("expect", "100-continue");
    let mut body = Body::new(framing);
    match fault {
        Fault::DropRequest => return Ok((Outcome::Cut, Next::Cut)),
        Fault::AnswerUnread(answer) => {
            send_canned(client, answer, method, open).await?;
            return Ok((Outcome::Answered, Next::Close));
        }
        _ => {}
    }
    if expects {
        client
            .writer
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .await?;
    }
    match fault {
        Fault::Answer(answer) => {
            read_request(shared, client, &mut body, open).await?;
            send_canned(client, answer, method, open).await?;
            Ok((Outcome::Answered, Next::KeepOpen))
        }
        Fault::Hang => {
            read_request(shared, client, &mut body, open).await?;
            tokio::select! {
                () = client.reader.closed() => bail!("the client went away"),
                _ = script_version.changed() => Ok((Outcome::Cut, Next::Cut)),
            }
        }
        fault => forward(shared, client, head, body, framing, method, fault, open).await,
    }
}

async fn read_request<S: Stream>(
    shared: &Shared,
    client: &mut Client<S>,
    body: &mut Body,
    open: &Open<'_>,
) -> Result<()> {
    let keep = shared.keep_bodies.load(Ordering::Relaxed);
    while let Some(piece) = body.next(&mut client.reader).await? {
        open.request_piece(&piece, keep);
    }
    Ok(())
}

async fn send_canned<S: Stream>(
    client: &mut Client<S>,
    answer: &CannedAnswer,
    method: &str,
    open: &Open<'_>,
) -> Result<()> {
    let mut head = Head::answer(answer.status, answer.headers.iter().cloned());
    if answer.status != 204 && answer.status != 304 {
        head.set("content-length", answer.body.len().to_string());
    }
    open.status(answer.status);
    client.writer.write_all(&head.to_bytes()).await?;
    if method != "HEAD" {
        client.writer.write_all(&answer.body).await?;
        open.answer_piece(answer.body.len());
    }
    client.writer.flush().await?;
    Ok(())
}

#[allow(
    clippy::too_many_arguments,
    reason = "one request with all that belongs to it; a struct would only rename it"
)]
async fn forward<S: Stream>(
    shared: &Shared,
    client: &mut Client<S>,
    mut head: Head,
    mut body: Body,
    framing: Framing,
    method: &str,
    fault: &Fault,
    open: &Open<'_>,
) -> Result<(Outcome, Next)> {
    let upstream = TcpStream::connect(&shared.upstream)
        .await
        .with_context(|| format!("the server {} cannot be reached", shared.upstream))?;
    let _ = upstream.set_nodelay(true);
    let (reader, mut writer) = tokio::io::split(upstream);
    let mut server = Reader::new(reader);

    prepare_request(&mut head);
    if matches!(fault, Fault::ChangeAnswer(_)) {
        head.remove("accept-encoding");
    }
    writer.write_all(&head.to_bytes()).await?;

    let limit = match fault {
        Fault::CutRequest { after } => Some(*after),
        _ => None,
    };
    let keep = shared.keep_bodies.load(Ordering::Relaxed);
    let (head, request_is_read) = {
        let mut upload = pin!(upload(
            &mut client.reader,
            &mut body,
            framing,
            &mut writer,
            limit,
            |piece| open.request_piece(piece, keep)
        ));
        let mut uploaded = false;
        let mut server_gave_up = false;
        loop {
            // a server may answer before it has read everything, or instead of reading on
            tokio::select! {
                result = &mut upload, if !uploaded && !server_gave_up => match result {
                    Ok(Upload::Whole) => uploaded = true,
                    Ok(Upload::Cut) => return Ok((Outcome::Cut, Next::Cut)),
                    Ok(Upload::Refused) => server_gave_up = true,
                    Err(error) => return Err(error.context("the client's request")),
                },
                answer = server.head() => match answer.context("the server's answer")? {
                    None => bail!("the server closed the connection without an answer"),
                    Some(head) if (100..200).contains(&head.status()?) => {}
                    Some(head) => break (head, uploaded),
                },
            }
        }
    };
    open.server_status(head.status()?);
    let (outcome, next) = pass_answer(client, head, &mut server, method, fault, open).await?;
    if outcome == Outcome::Answered && !request_is_read {
        // closing with unread bytes would take the answer away from the client
        let mut left = LARGEST_LEFTOVER;
        while let Ok(Some(piece)) = body.next(&mut client.reader).await {
            left = left.saturating_sub(piece.len() as u64);
            if left == 0 {
                break;
            }
        }
        return Ok((outcome, Next::Close));
    }
    Ok((outcome, next))
}

enum Upload {
    Whole,
    /// The script wants no more to reach the server.
    Cut,
    /// The server does not read on; the body is not to be continued.
    Refused,
}

async fn upload<S: Stream>(
    client: &mut Reader<ReadHalf<S>>,
    body: &mut Body,
    framing: Framing,
    server: &mut WriteHalf<TcpStream>,
    limit: Option<u64>,
    mut seen: impl FnMut(&bytes::Bytes),
) -> Result<Upload> {
    let mut left = limit.unwrap_or(u64::MAX);
    while let Some(piece) = body.next(client).await? {
        seen(&piece);
        let sent = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        if sent > 0 && write_piece(server, framing, &piece[..sent]).await.is_err() {
            return Ok(Upload::Refused);
        }
        left -= sent as u64;
        if limit.is_some() && left == 0 {
            break;
        }
    }
    if limit.is_some() {
        let _ = server.flush().await;
        return Ok(Upload::Cut);
    }
    match write_end(server, framing).await {
        Ok(()) => Ok(Upload::Whole),
        Err(_) => Ok(Upload::Refused),
    }
}

async fn pass_answer<S: Stream>(
    client: &mut Client<S>,
    mut head: Head,
    server: &mut Reader<ReadHalf<TcpStream>>,
    method: &str,
    fault: &Fault,
    open: &Open<'_>,
) -> Result<(Outcome, Next)> {
    let status = head.status()?;
    let framing = head.answer_framing(method)?;
    let mut body = Body::new(framing);
    match fault {
        Fault::LoseAnswer => {
            body.drain(server).await.context("the server's answer")?;
            return Ok((Outcome::Cut, Next::Cut));
        }
        Fault::ChangeAnswer(change) => {
            let mut answer = RealAnswer {
                status,
                headers: Vec::new(),
                body: Vec::new(),
            };
            while let Some(piece) = body.next(server).await.context("the server's answer")? {
                if answer.body.len() + piece.len() > LARGEST_CHANGED_ANSWER {
                    bail!("the answer is too large to be changed");
                }
                answer.body.extend_from_slice(&piece);
            }
            prepare_answer(&mut head, Framing::Length(0));
            answer.headers = std::mem::take(&mut head.headers);
            change(&mut answer);
            let changed = CannedAnswer {
                status: answer.status,
                headers: answer.headers,
                body: answer.body,
            };
            send_canned(client, &changed, method, open).await?;
            return Ok((Outcome::Answered, Next::KeepOpen));
        }
        _ => {}
    }

    // an answer to HEAD keeps its content-length
    let out = prepare_answer(&mut head, framing);
    open.status(status);
    client.writer.write_all(&head.to_bytes()).await?;
    let mut left = match fault {
        Fault::CutAnswer { after } => *after,
        _ => u64::MAX,
    };
    loop {
        if left == 0 {
            client.writer.flush().await?;
            return Ok((Outcome::Cut, Next::Cut));
        }
        let Some(piece) = body.next(server).await.context("the server's answer")? else {
            break;
        };
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        left -= length as u64;
        match fault {
            Fault::GarbleAnswer => {
                write_piece(&mut client.writer, out, &vec![b'#'; length]).await?
            }
            Fault::DripAnswer { bytes, every } => {
                for drop in piece[..length].chunks((*bytes).max(1)) {
                    write_piece(&mut client.writer, out, drop).await?;
                    client.writer.flush().await?;
                    tokio::time::sleep(*every).await;
                }
            }
            _ => write_piece(&mut client.writer, out, &piece[..length]).await?,
        }
        open.answer_piece(length);
    }
    if matches!(fault, Fault::CutAnswer { .. }) {
        // the answer was shorter than the script expected: cut its end at least
        client.writer.flush().await?;
        return Ok((Outcome::Cut, Next::Cut));
    }
    write_end(&mut client.writer, out).await?;
    Ok((Outcome::Answered, Next::KeepOpen))
}
