//! Webhooks: events are posted in order, in batches, signed, until the receiver says 2xx. What was posted just before the
//! process died is posted again: each event has its id.
//!
//! `waybill-signature: t=SECONDS,v1=HEX` where HEX is HMAC-SHA256 (RFC 2104) of `SECONDS.BODY` under the secret. The time is
//! signed so that an old request can not be sent again by someone who saw it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use waybill_rt::SharedClock;

use super::{AlertEvent, Outbox};
use crate::model::digest::hex;

/// Events in one request, at most: a flood is told in few.
const BATCH: usize = 100;

/// How often it is looked for new events.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The first wait after a failure; it doubles up to [`MAX_BACK_OFF`].
const BACK_OFF: Duration = Duration::from_millis(250);

/// The longest wait after a failure.
const MAX_BACK_OFF: Duration = Duration::from_secs(300);

/// How long a receiver may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// SHA-256's block.
const BLOCK: usize = 64;

/// Where alerts are posted.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// `http://HOST:PORT/PATH`.
    pub url: String,
    /// What signs them.
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Delivery<'e> {
    events: &'e [AlertEvent],
}

/// HMAC-SHA256 of a message (RFC 2104).
#[must_use]
pub fn hmac(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let mut key = [0_u8; BLOCK];
    let digest = Sha256::digest(secret);
    let short: &[u8] = if secret.len() > BLOCK { &digest } else { secret };
    for (to, from) in key.iter_mut().zip(short) {
        *to = *from;
    }
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

/// The signature of a body that is sent at `seconds` since 1970.
#[must_use]
pub fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    let mut message = format!("{seconds}.").into_bytes();
    message.extend_from_slice(body);
    format!("t={seconds},v1={}", hex(&hmac(secret.as_bytes(), &message)))
}

/// Posts events until asked to stop.
pub(crate) async fn run(
    webhook: Webhook,
    outbox: Arc<Outbox>,
    clock: SharedClock,
    stopping: CancellationToken,
) -> Result<(), String> {
    let mut wait = LOOK_EVERY;
    let mut back_off = BACK_OFF;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopping.cancelled() => return Ok(()),
        }
        let (webhook_too, outbox, clock) = (webhook.clone(), Arc::clone(&outbox), Arc::clone(&clock));
        let round = tokio::task::spawn_blocking(move || post(&webhook_too, &outbox, &clock));
        match round.await.map_err(|join| join.to_string())? {
            Ok(posted) => {
                if back_off > BACK_OFF {
                    tracing::info!(url = webhook.url, "the webhook takes alerts again");
                }
                back_off = BACK_OFF;
                wait = if posted >= BATCH { Duration::ZERO } else { LOOK_EVERY };
            }
            Err(error) => {
                if back_off == BACK_OFF {
                    tracing::warn!(url = webhook.url, error, "the webhook takes no alerts; trying again");
                }
                wait = back_off;
                back_off = (back_off * 2).min(MAX_BACK_OFF);
            }
        }
    }
}

/// Posts the next events; returns how many.
fn post(webhook: &Webhook, outbox: &Outbox, clock: &SharedClock) -> Result<usize, String> {
    let told = outbox.told(&webhook.url).map_err(|fault| fault.to_string())?;
    let events = outbox.events(told, BATCH).map_err(|fault| fault.to_string())?;
    let Some(last) = events.last() else { return Ok(0) };
    let body = serde_json::to_vec(&Delivery { events: &events }).map_err(|fault| fault.to_string())?;
    let seconds = clock.now().get().div_euclid(1_000);
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(0)
        .build()
        .into();
    let answer = agent
        .post(&webhook.url)
        .header("content-type", "application/json")
        .header("waybill-signature", signature(&webhook.secret, seconds, &body))
        .send(&body[..])
        .map_err(|fault| fault.to_string())?;
    if !answer.status().is_success() {
        return Err(format!("it answered {}", answer.status()));
    }
    outbox.tell(&webhook.url, last.seq).map_err(|fault| fault.to_string())?;
    Ok(events.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn hmac_is_that_of_the_rfc() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, message, expected) in cases {
            assert_eq!(hex(&hmac(key, message)), expected);
        }
        assert!(signature("s", 7, b"{}").starts_with("t=7,v1="));
    }
}
