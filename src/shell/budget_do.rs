//! The Durable Object that counts for one virtual key, team or customer: a [`Node`] that survives. Every message is answered when what
//! it changed is written; the runtime holds the answer back until then.

use std::cell::RefCell;

use serde_json::Value;
use worker::{DurableObject, Env, Request, Response, SqlStorageValue, State, durable_object};

use crate::governance::Amount;
use crate::governance::message::Message;
use crate::governance::node::{Change, Held, Kind, Meter, Node};

/// What is held and what is settled. Amounts are text: a number of JavaScript's would lose the last digits of a large sum of money.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS held (id TEXT PRIMARY KEY, kind INTEGER NOT NULL, requests TEXT NOT NULL, tokens TEXT NOT NULL, cost TEXT NOT NULL, until_ms TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS meters (dimension INTEGER PRIMARY KEY, begin_ms TEXT NOT NULL, used TEXT NOT NULL)";

/// `held.kind` of a reservation and of a request that was settled; of a lease it is the number of its last report.
const RESERVATION: i64 = -1;
const SETTLED: i64 = -2;

/// A budget node.
#[durable_object]
#[allow(unreachable_pub, missing_debug_implementations)] // wasm-bindgen exports it.
pub struct BudgetNode {
    state: State,
    /// `None` while what was kept cannot be read: without that, nothing may be granted.
    node: RefCell<Option<Node>>,
    /// When the alarm is set for, in milliseconds since 1970.
    alarm: RefCell<Option<u64>>,
}

impl DurableObject for BudgetNode {
    fn new(state: State, _env: Env) -> Self {
        Self { state, node: RefCell::new(None), alarm: RefCell::new(None) }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let bytes = request.bytes().await?;
        let message: Message = match serde_json::from_slice(&bytes) {
            Ok(message) => message,
            Err(error) => return Response::error(format!("no message: {error}"), 400),
        };
        let reply = self.awake(|node| node.take(message, now()))?;
        self.keep()?;
        self.arm().await?;
        Response::ok(serde_json::to_string(&reply).unwrap_or_default())
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.alarm.replace(None);
        self.awake(|node| node.expire(now()))?;
        self.keep()?;
        self.arm().await?;
        Response::ok("")
    }
}

impl BudgetNode {
    /// Does something with the node, as it was kept.
    fn awake<T>(&self, act: impl FnOnce(&mut Node) -> T) -> worker::Result<T> {
        let mut node = self.node.borrow_mut();
        let node = match &mut *node {
            Some(node) => node,
            asleep => asleep.insert(restored(&self.state)?),
        };
        Ok(act(node))
    }

    fn keep(&self) -> worker::Result<()> {
        let sql = self.state.storage().sql();
        let mut node = self.node.borrow_mut();
        let Some(node) = &mut *node else { return Ok(()) };
        for change in node.changes() {
            match change {
                Change::Meters => {
                    for (dimension, meter) in (0_i32..).zip(node.meters()) {
                        let values = vec![dimension.into(), text(meter.begin_ms), text(meter.used)];
                        sql.exec("INSERT OR REPLACE INTO meters VALUES (?, ?, ?)", values)?;
                    }
                }
                Change::Held(id) => match node.held(&id) {
                    Some(Held { kind, amount, until_ms }) => {
                        let kind = match kind {
                            Kind::Reservation => RESERVATION,
                            Kind::Settled => SETTLED,
                            Kind::Lease(seq) => i64::try_from(seq).unwrap_or(i64::MAX),
                        };
                        let kind = SqlStorageValue::try_from_i64(kind)?;
                        let values = vec![id.into(), kind, text(amount.requests), text(amount.tokens), text(amount.cost), text(until_ms)];
                        sql.exec("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?)", values)?;
                    }
                    None => drop(sql.exec("DELETE FROM held WHERE id = ?", vec![id.into()])?),
                },
            }
        }
        Ok(())
    }

    /// Wakes it when something ends by itself.
    async fn arm(&self) -> worker::Result<()> {
        let next = self.node.borrow().as_ref().and_then(Node::next_end);
        let set = *self.alarm.borrow();
        if let Some(next) = next.filter(|next| set.is_none_or(|set| *next < set)) {
            self.alarm.replace(Some(next));
            self.state.storage().set_alarm(std::time::Duration::from_millis(next.saturating_sub(now()).max(1))).await?;
        }
        Ok(())
    }
}

fn now() -> u64 {
    js_sys::Date::now() as u64
}

fn text(number: u64) -> SqlStorageValue {
    number.to_string().into()
}

fn restored(state: &State) -> worker::Result<Node> {
    let sql = state.storage().sql();
    sql.exec(TABLES, None)?;
    let number = |value: Option<&Value>| value.and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
    let mut meters = [Meter::default(); 3];
    for row in sql.exec("SELECT dimension, begin_ms, used FROM meters", None)?.to_array::<Value>()? {
        let place = row.get("dimension").and_then(Value::as_u64).and_then(|at| meters.get_mut(usize::try_from(at).ok()?));
        if let Some(place) = place {
            *place = Meter { begin_ms: number(row.get("begin_ms")), used: number(row.get("used")) };
        }
    }
    let held = sql.exec("SELECT id, kind, requests, tokens, cost, until_ms FROM held", None)?.to_array::<Value>()?;
    let held = held.into_iter().filter_map(|row| {
        let id = row.get("id")?.as_str()?.to_owned();
        let kind = match row.get("kind")?.as_f64()? as i64 {
            RESERVATION => Kind::Reservation,
            SETTLED => Kind::Settled,
            seq => Kind::Lease(u64::try_from(seq).ok()?),
        };
        let amount = Amount { requests: number(row.get("requests")), tokens: number(row.get("tokens")), cost: number(row.get("cost")) };
        Some((id, Held { kind, amount, until_ms: number(row.get("until_ms")) }))
    });
    Ok(Node::restored(meters, held.collect::<Vec<_>>()))
}
