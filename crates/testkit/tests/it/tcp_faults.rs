use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tributary_testkit::tcp_faults::{TcpFault, TcpProxy};

const LIMIT: Duration = Duration::from_secs(60);

/// A proxy in front of a server that sends back what it gets.
async fn echo() -> Result<TcpProxy> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    TcpProxy::start(&address).await
}

async fn connect(proxy: &TcpProxy) -> Result<TcpStream> {
    Ok(TcpStream::connect(("127.0.0.1", proxy.port())).await?)
}

/// What comes back until the connection ends or as much came as was sent.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut back = Vec::new();
    if stream.write_all(bytes).await.is_err() {
        return back;
    }
    let mut buffer = [0; 4096];
    while back.len() < bytes.len() {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => back.extend_from_slice(&buffer[..length]),
        }
    }
    back
}

#[tokio::test]
async fn without_a_fault_everything_passes_and_is_counted() -> Result<()> {
    let proxy = echo().await?;
    let mut stream = connect(&proxy).await?;
    let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    stream.write_all(b"hello").await?;
    let mut back = [0; 5];
    stream.read_exact(&mut back).await?;
    assert_eq!(&back, b"hello");
    let (mut reader, mut writer) = stream.into_split();
    let sent = bytes.clone();
    let sending = tokio::spawn(async move {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    });
    let mut all = Vec::new();
    reader.read_to_end(&mut all).await?;
    sending.await??;
    assert!(all == bytes);
    let counts = proxy
        .wait_for("the end", LIMIT, |counts| counts.open == 0)
        .await?;
    let length = bytes.len() as u64 + 5;
    assert_eq!(
        (counts.accepted, counts.received, counts.sent, counts.faults),
        (1, length, length, 0)
    );
    Ok(())
}

#[tokio::test]
async fn connections_are_cut_after_a_count_as_often_as_told() -> Result<()> {
    for (fault, expected) in [
        (TcpFault::CutAfterReceived(100), 100),
        (TcpFault::CutAfterSent(0), 0),
    ] {
        let proxy = echo().await?;
        proxy.set_times(fault, 2);
        for _ in 0..2 {
            assert_eq!(
                exchange(&mut connect(&proxy).await?, &[7; 1000])
                    .await
                    .len(),
                expected
            );
        }
        assert_eq!(
            exchange(&mut connect(&proxy).await?, &[7; 1000])
                .await
                .len(),
            1000
        );
        assert_eq!(proxy.counts().faults, 2);
    }
    Ok(())
}

#[tokio::test]
async fn a_stalled_connection_goes_on_where_it_stopped() -> Result<()> {
    for fault in [
        TcpFault::StallAfterReceived(10),
        TcpFault::StallAfterSent(10),
    ] {
        let proxy = echo().await?;
        proxy.set(fault);
        let mut stream = connect(&proxy).await?;
        stream.write_all(b"0123456789abcdef").await?;
        let mut begin = [0; 10];
        stream.read_exact(&mut begin).await?;
        assert_eq!(&begin, b"0123456789");
        proxy
            .wait_for("the stall", LIMIT, |counts| counts.faults == 1)
            .await?;
        assert_eq!(proxy.counts().received, 10);
        proxy.clear();
        let mut end = [0; 6];
        stream.read_exact(&mut end).await?;
        assert_eq!(&end, b"abcdef");
    }
    Ok(())
}

#[tokio::test]
async fn the_port_can_be_closed_and_opened() -> Result<()> {
    let proxy = echo().await?;
    let mut stream = connect(&proxy).await?;
    assert_eq!(exchange(&mut stream, b"x").await, b"x");
    proxy.refuse().await?;
    assert!(exchange(&mut stream, b"x").await.is_empty());
    assert!(connect(&proxy).await.is_err());
    proxy.listen().await?;
    let mut stream = connect(&proxy).await?;
    assert_eq!(exchange(&mut stream, b"x").await, b"x");
    proxy.close_connections().await?;
    assert!(exchange(&mut stream, b"x").await.is_empty());
    assert_eq!(exchange(&mut connect(&proxy).await?, b"x").await, b"x");
    let error = proxy
        .wait_for("five", Duration::from_millis(20), |counts| {
            counts.accepted == 5
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("accepted: 3"), "{error}");
    Ok(())
}
