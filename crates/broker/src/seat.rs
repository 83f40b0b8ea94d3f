//! The seat of the controller, which on a bucket is the one broker that leads: waiting for it, holding it, losing it.
//!
//! Life cycle: [`Seat::take`] waits as a standby while another broker holds the newest term, wins one and opens the metadata
//! store; [`Seat::watch`] ends the node when the term is over in this process or a higher one is seen; [`Seat::leave`] gives the
//! store back, after the log's last commits.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use waybill_control::terms::creating::ControlStore;
use waybill_control::terms::holder::Holder;
use waybill_control::terms::{Campaign, CampaignDeps, NetPulse, Office, OfficeMeta};
use waybill_rt::Supervisor;

use crate::http::Front;
use crate::local::Machine;
use crate::member::{Bucket, Member};

/// A term that this process holds.
pub(crate) struct Seat {
    campaign: Campaign,
    office: Office,
    io: ControlStore,
    /// The metadata during this term.
    pub(crate) meta: OfficeMeta,
    /// Not the node's: the log's last commits come after that one has stopped.
    tasks: Supervisor,
    /// The node was told to stop leading.
    lost: CancellationToken,
}

impl Seat {
    /// Waits for a term; as a standby, which `front` then shows, while another broker holds one.
    pub(crate) async fn take(bucket: &Bucket, member: &Member, machine: &Machine, front: &Front) -> Self {
        let pulse = NetPulse::new(Arc::clone(&machine.net), Arc::clone(&machine.clock));
        let host = member.claimed.holder.host.clone();
        let pulse = if member.deposed { pulse.patient_on(host) } else { pulse };
        let shown = front.clone();
        let deps = CampaignDeps {
            io: member.io.clone(),
            me: member.claimed.clone(),
            home: Arc::clone(&bucket.meta),
            pulse: Arc::new(pulse),
            heart: member.heart.clone(),
            standing: Arc::new(move |other: Option<(u64, &Holder)>| match other {
                Some((term, holder)) => shown.stand_by(format!("{holder} holds term {term}")),
                None => shown.starting(),
            }),
        };
        let mut campaign = Campaign::new(deps);
        let office = campaign.win().await;
        let tasks = Supervisor::default();
        let meta = OfficeMeta::new(&office, &tasks);
        Self { campaign, office, io: member.io.clone(), meta, tasks, lost: CancellationToken::new() }
    }

    /// The term.
    pub(crate) fn term(&self) -> u64 {
        self.office.term.term
    }

    /// Resolves with the reason when this process must stop leading.
    pub(crate) async fn lost(&self) -> String {
        lost(&self.meta, &self.io, self.term()).await
    }

    /// The metadata store begins what its opening did not wait for, and `tasks` fail when this process must stop leading, also
    /// when nobody changes anything.
    pub(crate) fn watch(&self, tasks: &Supervisor) {
        self.office.meta.start_upkeep();
        let (meta, io, term) = (self.meta.clone(), self.io.clone(), self.term());
        let (stopping, gone) = (tasks.stopping(), self.lost.clone());
        tasks.spawn("controller", async move {
            tokio::select! {
                biased;
                () = stopping.cancelled() => Ok(()),
                why = lost(&meta, &io, term) => {
                    gone.cancel();
                    Err(why)
                }
            }
        });
    }

    /// Whether this process must not lead any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled() || self.meta.ended().is_some()
    }

    /// Gives the metadata store back.
    pub(crate) async fn leave(mut self) {
        // The tasks end with the term, and that is no failure.
        let _ = self.tasks.shutdown().await;
        self.campaign.leave(self.office).await;
    }
}

async fn lost(meta: &OfficeMeta, io: &ControlStore, term: u64) -> String {
    tokio::select! {
        () = meta.over() => {
            let why = meta.ended().map_or_else(|| "its term is over".to_owned(), |why| why.to_string());
            format!("this process does not own the metadata any more: {why}")
        }
        newer = io.overtaken(term) => {
            format!("this process does not lead any more: it stood still, and another broker has begun term {newer} after {term}")
        }
    }
}
