//! Certificates, and whoever trusts one of them.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Answer, PATIENCE, Request};

/// Somebody who trusts one certificate.
#[derive(Clone, Debug)]
pub struct Client(Arc<ClientConfig>);

/// Makes a certificate for `localhost` with its key in these files; answers whoever trusts it.
pub fn certify(certificate: &Path, key: &Path) -> Client {
    let made = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let CertifiedKey { cert, signing_key } = made;
    fs::write(certificate, cert.pem()).expect("a file");
    fs::write(key, signing_key.serialize_pem()).expect("a file");
    Client::trusting(cert.der().clone())
}

impl Client {
    fn trusting(certificate: CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self(Arc::new(config))
    }

    /// Asks at an address.
    pub fn ask(&self, address: SocketAddr, request: &Request) -> io::Result<Answer> {
        request.ask(self.connect(address)?)
    }

    /// A connection to an address on which nobody waits for ever.
    pub fn connect(
        &self,
        address: SocketAddr,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let connection =
            ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }
}
