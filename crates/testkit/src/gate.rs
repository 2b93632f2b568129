//! A listening port that can be closed and opened again, and that knows its connections.

use std::future::pending;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::servers::free_port;

/// What is done with one connection; it is over when the future is.
pub(crate) type Handler =
    Arc<dyn Fn(TcpStream) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

const PORT_ATTEMPTS: usize = 5;

enum Order {
    Refuse(oneshot::Sender<()>),
    Listen(oneshot::Sender<Result<()>>),
    CloseConnections(oneshot::Sender<()>),
}

/// An open gate. All its connections end when it is dropped.
#[derive(Debug)]
pub(crate) struct Gate {
    port: u16,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl Gate {
    /// Listens on a port of 127.0.0.1 outside the range of outgoing connections, so that it can be had again later.
    pub(crate) async fn open(handler: Handler) -> Result<Self> {
        let mut attempt = 1;
        let (port, listener) = loop {
            let port = free_port()?;
            match listen(port).await {
                Ok(listener) => break (port, listener),
                Err(_) if attempt < PORT_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        };
        let (orders, receiver) = mpsc::channel(1);
        let task = tokio::spawn(serve(port, listener, receiver, handler));
        Ok(Self { port, orders, task })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Closes the port and all connections. New ones are refused when this returns.
    pub(crate) async fn refuse(&self) -> Result<()> {
        self.order(Order::Refuse).await
    }

    /// Opens the port again. New connections are accepted when this returns.
    pub(crate) async fn listen(&self) -> Result<()> {
        self.order(Order::Listen).await?
    }

    /// Closes all connections of this moment.
    pub(crate) async fn close_connections(&self) -> Result<()> {
        self.order(Order::CloseConnections).await
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T> {
        let gone =
            || anyhow!("the proxy's task is gone: was it started in a runtime that has ended?");
        let (sender, receiver) = oneshot::channel();
        self.orders.send(order(sender)).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .with_context(|| format!("cannot listen on port {port}"))
}

async fn serve(
    port: u16,
    listener: TcpListener,
    mut orders: mpsc::Receiver<Order>,
    handler: Handler,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return,
                Some(Order::Refuse(done)) => {
                    listener = None;
                    connections.shutdown().await;
                    let _ = done.send(());
                }
                Some(Order::Listen(done)) => {
                    let result = match listener {
                        Some(_) => Ok(()),
                        None => listen(port).await.map(|opened| listener = Some(opened)),
                    };
                    let _ = done.send(result);
                }
                Some(Order::CloseConnections(done)) => {
                    connections.shutdown().await;
                    let _ = done.send(());
                }
            },
            Some(stream) = accept(listener.as_ref()) => {
                let _ = stream.set_nodelay(true);
                connections.spawn(handler(stream));
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// The next connection; nothing if accepting failed (the client was gone already); never while nothing listens.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => pending().await,
    }
}
