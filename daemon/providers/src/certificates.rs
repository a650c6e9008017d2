//! Bundles of certificates in PEM form, as `SSL_CERT_FILE` names them. Knows the file format, nothing of TLS.

use std::path::{Path, PathBuf};

use reqwest::Certificate;
use rustls::pki_types::pem::{PemObject, SectionKind};
use tracing::warn;

use crate::failure::cause;

/// OpenSSL's label of a certificate with notes of what it is trusted for behind it (`x509`, "Trust settings").
const TRUSTED: &str = "TRUSTED CERTIFICATE-----";

/// The same without.
const PLAIN: &str = "CERTIFICATE-----";

/// A file that can't be used, and why.
pub(crate) type Unusable = (PathBuf, String);

/// All certificates of these files. Other things in them are left out.
///
/// # Errors
/// A file that can't be read, is no PEM, or holds no certificate.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Certificate>, Unusable> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(of_file(path).map_err(|reason| (path.clone(), reason))?);
    }
    Ok(all)
}

fn of_file(path: &Path) -> Result<Vec<Certificate>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let (certificates, revocations) = of_bundle(&String::from_utf8_lossy(&bytes))?;
    if revocations > 0 {
        warn!(path = %path.display(), revocations, "lists of revoked certificates in a bundle are not used");
    }
    Ok(certificates)
}

/// The certificates, and how many lists of revoked ones stand between them.
fn of_bundle(text: &str) -> Result<(Vec<Certificate>, usize), String> {
    let text = text.replace(TRUSTED, PLAIN);
    let (mut certificates, mut revocations) = (Vec::new(), 0);
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
        let (kind, der) = section.map_err(|error| cause(&error))?;
        match kind {
            SectionKind::Certificate => {
                let whole = Certificate::from_der(without_trust(&der));
                certificates.push(whole.map_err(|error| cause(&error))?);
            }
            SectionKind::Crl => revocations += 1,
            _ => {}
        }
    }
    if certificates.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    Ok((certificates, revocations))
}

/// The first element of DER (X.690, 8.1), which is the certificate itself.
fn without_trust(der: &[u8]) -> &[u8] {
    let Some(&first) = der.get(1) else { return der };
    let count = usize::from(first & 0x7f);
    let end = if first < 0x80 {
        count.checked_add(2)
    } else {
        let length = der.get(2..2 + count).filter(|bytes| bytes.len() <= 4);
        let length =
            length.map(|bytes| bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)));
        length.and_then(|length| length.checked_add(count + 2))
    };
    end.and_then(|end| der.get(..end)).unwrap_or(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate and a list of revoked ones, made with `openssl req -x509` and `openssl ca -gencrl`.
    const CERTIFICATE: &str = include_str!("certificates/certificate.pem");
    const TRUSTED_CERTIFICATE: &str = include_str!("certificates/trusted.pem");
    const REVOCATIONS: &str = include_str!("certificates/revocations.pem");

    #[test]
    fn bundles_hold_several_certificates_and_other_things() {
        let counts = |text: &str| of_bundle(text).map(|(all, revocations)| (all.len(), revocations));
        assert_eq!(counts(CERTIFICATE), Ok((1, 0)));
        let bundle = format!("# A comment\n{CERTIFICATE}{REVOCATIONS}{TRUSTED_CERTIFICATE}\n{CERTIFICATE}");
        assert_eq!(counts(&bundle), Ok((3, 1)));
        assert_eq!(counts(REVOCATIONS), Err("it holds no certificate".to_owned()));
        assert!(counts("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").is_err());
    }

    #[test]
    fn what_a_certificate_is_trusted_for_is_cut_off() {
        let der = |text: &str| {
            let text = text.replace(TRUSTED, PLAIN);
            let (_, der) = <(SectionKind, Vec<u8>)>::from_pem_slice(text.as_bytes()).unwrap();
            der
        };
        let (plain, trusted) = (der(CERTIFICATE), der(TRUSTED_CERTIFICATE));
        assert!(trusted.len() > plain.len());
        assert_eq!(without_trust(&trusted), plain);
        for broken in [&[][..], &[0x30], &[0x30, 0x84, 1], &[0x30, 0xff, 1, 2], &[0x30, 5, 1]] {
            assert_eq!(without_trust(broken), broken);
        }
    }
}
