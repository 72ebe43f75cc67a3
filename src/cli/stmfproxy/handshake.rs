//! The handshake of TLS, without I/O: bytes in, bytes out, and then the keys of the connection.
#![forbid(unsafe_code)]

use crate::proxy::sealed::Keys;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, Error, ServerConfig};
use std::sync::Arc;

/// One that has not failed.
pub struct Handshake {
    side: Side,
    /// Bytes of the peer that were not understood yet.
    received: Vec<u8>,
    /// Data that came behind the handshake.
    plain: Vec<u8>,
}

enum Side {
    Listens(UnbufferedServerConnection),
    Connects(UnbufferedClientConnection),
}

/// What the handshake needs next.
#[derive(PartialEq, Eq)]
enum Next {
    Turn,
    Bytes,
    Nothing,
}

impl Handshake {
    /// Most bytes that may wait for the end of a message: twice the longest message that rustls takes.
    const LONGEST: usize = 128 << 10;

    pub fn listens(config: Arc<ServerConfig>) -> Result<Handshake, Error> {
        UnbufferedServerConnection::new(config).map(|connection| Handshake::new(Side::Listens(connection)))
    }

    pub fn connects(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Handshake, Error> {
        UnbufferedClientConnection::new(config, name).map(|connection| Handshake::new(Side::Connects(connection)))
    }

    fn new(side: Side) -> Handshake {
        Handshake {
            side,
            received: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// Goes on with bytes of the peer, or begins. What is to be sent is appended to `reply`, also before an error: the peer is
    /// told why. True: the handshake is over.
    pub fn advance(&mut self, bytes: &[u8], reply: &mut Vec<u8>) -> Result<bool, Error> {
        self.received.extend_from_slice(bytes);
        if self.received.len() > Handshake::LONGEST {
            return Err(Error::General("a handshake of too many bytes".to_owned()));
        }
        loop {
            match self.turn(reply) {
                Ok(Next::Turn) => {}
                Ok(next) => return Ok(next == Next::Nothing && !self.common().is_handshaking()),
                Err(error) => {
                    // What it has to say about it.
                    while self.common().wants_write() && matches!(self.turn(reply), Ok(Next::Turn)) {}
                    return Err(error);
                }
            }
        }
    }

    fn turn(&mut self, reply: &mut Vec<u8>) -> Result<Next, Error> {
        let (received, plain) = (&mut self.received, &mut self.plain);
        let (discard, next) = match &mut self.side {
            Side::Listens(connection) => turn(connection.process_tls_records(received), plain, reply),
            Side::Connects(connection) => turn(connection.process_tls_records(received), plain, reply),
        };
        received.drain(..discard);
        next
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Listens(connection) => connection,
            Side::Connects(connection) => connection,
        }
    }

    /// What the connection is sealed with from now on, and the data that came behind the handshake. When it is over and
    /// everything has been sent.
    pub fn finish(self) -> Result<(Keys, Vec<u8>), Error> {
        let keys = match self.side {
            Side::Listens(connection) => {
                let (secrets, rest) = connection.dangerous_into_kernel_connection()?;
                Keys::new(secrets, rest, self.received)
            }
            Side::Connects(connection) => {
                let (secrets, rest) = connection.dangerous_into_kernel_connection()?;
                Keys::new(secrets, rest, self.received)
            }
        };
        Ok((keys?, self.plain))
    }
}

/// One step, and how many of the bytes received are done with.
fn turn<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    plain: &mut Vec<u8>,
    reply: &mut Vec<u8>,
) -> (usize, Result<Next, Error>) {
    let next = status.state.and_then(|state| match state {
        ConnectionState::EncodeTlsData(data) => encode(data, reply).map(|()| Next::Turn),
        ConnectionState::TransmitTlsData(data) => {
            // It is in the reply.
            data.done();
            Ok(Next::Turn)
        }
        ConnectionState::ReadTraffic(mut data) => {
            while let Some(record) = data.next_record() {
                plain.extend_from_slice(record?.payload);
            }
            Ok(Next::Turn)
        }
        ConnectionState::BlockedHandshake => Ok(Next::Bytes),
        ConnectionState::WriteTraffic(_) => Ok(Next::Nothing),
        _ => Err(Error::General("the peer closed it in the handshake".to_owned())),
    });
    (status.discard, next)
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, reply: &mut Vec<u8>) -> Result<(), Error> {
    let begin = reply.len();
    loop {
        match data.encode(&mut reply[begin..]) {
            Ok(count) => {
                reply.truncate(begin + count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(room)) => reply.resize(begin + room.required_size, 0),
            Err(EncodeError::AlreadyEncoded) => return Err(Error::General("encoded twice".to_owned())),
        }
    }
}
