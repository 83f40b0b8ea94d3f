//! A broker in the election, on a store: waits as a standby while another holds the newest term, wins one, and opens the
//! metadata store.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use waybill_meta::{MetaError, MetaHome, OwnedMeta, Record, TermRecord, keys};
use waybill_store::StoreError;

use crate::terms::claiming::Claimed;
use crate::terms::creating::ControlStore;
use crate::terms::election::{Election, ElectionAction, ElectionEvent, Newest};
use crate::terms::holder::{Holder, TERMS, parse_term, term_name};
use crate::terms::pulse::Heart;
use crate::terms::reign::first_commit;

/// How an observer learns that a holder may be gone. A suspicion, never more: an election is safe whoever starts it.
pub trait Pulse: Send + Sync + 'static {
    /// Resolves when `holder`, who holds `term`, is suspected to be gone.
    fn lost(&self, term: u64, holder: Holder) -> BoxFuture<'_, ()>;
}

/// Whom a process waits for as a standby, with its term; `None`: for nobody.
pub type Standing = Arc<dyn Fn(Option<(u64, &Holder)>) + Send + Sync>;

/// What a campaign needs.
#[derive(Clone)]
pub struct CampaignDeps {
    /// The store of terms.
    pub io: ControlStore,
    /// This process's incarnation, claimed before.
    pub me: Claimed,
    /// Where the metadata store lives.
    pub home: Arc<dyn MetaHome>,
    /// How a standby learns that a holder is gone.
    pub pulse: Arc<dyn Pulse>,
    /// How this process's standbys learn that it lives.
    pub heart: Heart,
    /// Told whenever it begins or ends to wait.
    pub standing: Standing,
}

/// A broker in the election. One that is dropped takes no part any more; what it created stays.
pub struct Campaign {
    deps: CampaignDeps,
    election: Election,
    newest: Option<(u64, Holder)>,
    opened: Option<Opened>,
}

struct Opened {
    meta: Arc<dyn OwnedMeta>,
    stored: Option<Bytes>,
}

/// The office of a controller: its term, whose first commit is durable, and the metadata store.
pub struct Office {
    /// The term.
    pub term: TermRecord,
    /// The metadata store. Whoever writes goes through [`crate::terms::office::OfficeMeta`].
    pub meta: Arc<dyn OwnedMeta>,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Office({:?})", self.term)
    }
}

impl std::fmt::Debug for Campaign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Campaign({:?})", self.election.action())
    }
}

impl Campaign {
    /// A broker that has just started.
    #[must_use]
    pub fn new(deps: CampaignDeps) -> Self {
        let election = Election::new(deps.io.sabotage);
        Self { deps, election, newest: None, opened: None }
    }

    /// Takes part until this process holds a term: at once when nobody else does, and else as a standby. A store that does not
    /// answer is waited for.
    pub async fn win(&mut self) -> Office {
        loop {
            self.show();
            let event = match self.election.action() {
                ElectionAction::Wait(about) => {
                    self.deps.io.pause(about).await;
                    ElectionEvent::Waited
                }
                ElectionAction::FindNewest => self.find_newest().await,
                ElectionAction::Watch(term) => self.watch(term).await,
                ElectionAction::Create(term) => self.create(term).await,
                ElectionAction::Open(_) => self.open().await,
                ElectionAction::CommitTerm(term) => self.commit(term).await,
                ElectionAction::Reign(term) => match self.opened.take() {
                    Some(opened) => return Office { term: self.record(term), meta: opened.meta },
                    // The office was given out before and not handed back: it is over.
                    None => ElectionEvent::Ended,
                },
                ElectionAction::Close => {
                    if let Some(opened) = self.opened.take() {
                        opened.meta.close().await;
                    }
                    ElectionEvent::Closed
                }
            };
            self.election.on(event);
        }
    }

    /// The office has ended, or is given up: closes its store. [`Self::win`] then takes part again, for a later term.
    pub async fn leave(&mut self, office: Office) {
        self.deps.heart.hold(0);
        office.meta.close().await;
        self.election.on(ElectionEvent::Ended);
    }

    /// Tells standbys which term this process holds, or is about to hold.
    fn show(&self) {
        match self.election.action() {
            ElectionAction::Open(term) | ElectionAction::CommitTerm(term) | ElectionAction::Reign(term) => {
                self.deps.heart.hold(term);
            }
            ElectionAction::FindNewest => {}
            _ => self.deps.heart.hold(0),
        }
    }

    fn record(&self, term: u64) -> TermRecord {
        let Holder { node, incarnation, .. } = self.deps.me.holder;
        TermRecord { term, node, incarnation }
    }

    async fn find_newest(&mut self) -> ElectionEvent {
        match self.read_newest().await {
            Ok(newest) => {
                let me = &self.deps.me.holder;
                let judged = newest.as_ref().map(|(term, holder)| Newest {
                    term: *term,
                    own: holder.node == me.node && holder.incarnation <= me.incarnation,
                });
                self.newest = newest;
                ElectionEvent::Newest(judged)
            }
            Err(why) => {
                tracing::warn!(why, "the newest term can not be found out");
                ElectionEvent::Failed
            }
        }
    }

    async fn read_newest(&self) -> Result<Option<(u64, Holder)>, String> {
        let io = &self.deps.io;
        let text = |error: StoreError| error.to_string();
        let names = io.list(TERMS).await.map_err(text)?;
        let Some(term) = names.iter().filter_map(|name| parse_term(name)).max() else { return Ok(None) };
        let name = term_name(term);
        let bytes = io.read(&name).await.map_err(text)?.ok_or_else(|| format!("{name} is gone"))?;
        let holder = Holder::decode(&bytes).map_err(|error| format!("{name}: {error}"))?;
        Ok(Some((term, holder)))
    }

    async fn watch(&mut self, term: u64) -> ElectionEvent {
        if let Some((_, holder)) = self.newest.clone().filter(|(newest, _)| *newest == term) {
            (self.deps.standing)(Some((term, &holder)));
            tracing::info!(term, %holder, "another broker is the controller; waiting as its standby");
            self.deps.pulse.lost(term, holder).await;
            (self.deps.standing)(None);
        }
        ElectionEvent::Lost(term)
    }

    async fn create(&mut self, term: u64) -> ElectionEvent {
        let io = &self.deps.io;
        let (nonce, written) = (io.entropy.next_u64(), io.clock.now());
        let object = Holder { nonce, written, ..self.deps.me.holder.clone() };
        match io.create(&term_name(term), &object.encode()).await {
            Ok(ours) => ElectionEvent::Settled { ours },
            Err(error) => {
                tracing::warn!(term, %error, "a term could not be created");
                ElectionEvent::Failed
            }
        }
    }

    async fn open(&mut self) -> ElectionEvent {
        let opened = async {
            let meta = self.deps.home.open().await?;
            let stored = meta.get(&keys::term()).await?;
            let term = stored.as_deref().map(TermRecord::decode).transpose();
            let term = term.map_err(|error| MetaError::Unreadable(error.to_string().into()))?;
            Ok::<_, MetaError>((Opened { meta, stored }, term.map_or(0, |record| record.term)))
        };
        match opened.await {
            Ok((opened, stored)) => {
                self.opened = Some(opened);
                ElectionEvent::Opened { stored }
            }
            Err(error) => {
                tracing::warn!(%error, "the metadata store could not be opened");
                ElectionEvent::Failed
            }
        }
    }

    async fn commit(&mut self, term: u64) -> ElectionEvent {
        let record = self.record(term);
        let Some(opened) = &self.opened else { return ElectionEvent::Ended };
        match opened.meta.commit(first_commit(record, opened.stored.clone())).await {
            Ok(_) => {
                tracing::info!(term, "this broker is the controller");
                ElectionEvent::Committed
            }
            Err(error) => {
                tracing::warn!(term, %error, "the term's first commit failed");
                ElectionEvent::Ended
            }
        }
    }
}
