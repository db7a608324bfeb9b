//! The law of a node, over isolates that come and go and messages that are late, lost or told twice.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;

use finops_gateway::governance::message::{Grant, Message, Op, Reply};
use finops_gateway::governance::node::{Change, Held, LEASE_MS, Meter, Node};
use finops_gateway::governance::purse::Purse;
use finops_gateway::governance::{Amount, Dimension, Limit, Limits, Period};
use proptest::prelude::*;

const TTL_MS: u64 = 60_000;
const ISOLATES: usize = 3;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// A request comes to an isolate.
    Request { isolate: usize, need: Amount },
    /// One of its requests is over, having taken a part of what it needed at most, in percent.
    Finish { isolate: usize, which: usize, percent: u64 },
    /// It gives account.
    Report { isolate: usize },
    /// A message on its way arrives, and perhaps arrives again.
    Deliver { which: usize, twice: bool },
    /// It is lost; its sender hears of that.
    Lose { which: usize },
    /// An isolate dies with everything it knows.
    Crash { isolate: usize },
    /// The node is put to sleep and wakes from what it kept.
    Restart,
    /// Time goes by.
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let isolate = 0..ISOLATES;
    let need = (0..400_u64, 0..900_u64).prop_map(|(tokens, cost)| Amount { requests: 1, tokens, cost });
    prop_oneof![
        6 => (isolate.clone(), need).prop_map(|(isolate, need)| Step::Request { isolate, need }),
        5 => (isolate.clone(), any::<usize>(), 0..=100_u64).prop_map(|(isolate, which, percent)| Step::Finish { isolate, which, percent }),
        3 => isolate.clone().prop_map(|isolate| Step::Report { isolate }),
        9 => (any::<usize>(), any::<bool>()).prop_map(|(which, twice)| Step::Deliver { which, twice }),
        1 => any::<usize>().prop_map(|which| Step::Lose { which }),
        1 => isolate.prop_map(|isolate| Step::Crash { isolate }),
        1 => Just(Step::Restart),
        2 => prop_oneof![0..500_u64, Just(LEASE_MS), Just(TTL_MS)].prop_map(|ms| Step::Wait { ms }),
    ]
}

#[derive(Default)]
struct Isolate {
    purse: Purse,
    /// Requests that may go.
    running: BTreeMap<String, Amount>,
    life: u64,
}

struct InFlight {
    isolate: usize,
    life: u64,
    sent: u64,
    is_report: bool,
    ops: Vec<Op>,
}

struct World {
    node: Node,
    /// What the node had kept.
    kept: BTreeMap<String, Held>,
    meters: [Meter; 3],
    limits: Limits,
    isolates: Vec<Isolate>,
    in_flight: Vec<InFlight>,
    now: u64,
    next_id: u64,
    /// What finished requests took, of those that did not die with their isolate.
    spent: Amount,
    crashed: bool,
    late: bool,
    /// Nothing lasts longer, and nothing takes more, than was reserved for it.
    strict: bool,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self {
            node: Node::default(),
            kept: BTreeMap::new(),
            meters: [Meter::default(); 3],
            limits,
            isolates: (0..ISOLATES).map(|_| Isolate::default()).collect(),
            in_flight: Vec::new(),
            now: 1_000_000,
            next_id: 0,
            spent: Amount::default(),
            crashed: false,
            late: false,
            strict: false,
        }
    }

    fn send(&mut self, isolate: usize, is_report: bool, ops: Vec<Op>) {
        if !ops.is_empty() {
            self.in_flight.push(InFlight { isolate, life: self.isolates[isolate].life, sent: self.now, is_report, ops });
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Request { isolate, need } => {
                self.next_id += 1;
                let id = format!("r{}", self.next_id);
                let (now, limits) = (self.now, self.limits);
                let here = &mut self.isolates[isolate];
                if here.purse.take(&id, need, &limits, now) {
                    here.running.insert(id, need);
                } else {
                    let may_lease = here.purse.may_lease(now);
                    self.send(isolate, false, vec![Op::Reserve { id, need, may_lease, ttl_ms: TTL_MS }]);
                }
            }
            Step::Finish { isolate, which, percent } => {
                let here = &mut self.isolates[isolate];
                let Some(id) = here.running.keys().nth(which % here.running.len().max(1)).cloned() else { return };
                let need = here.running.remove(&id).unwrap();
                let mut used = Amount { requests: 1, tokens: need.tokens * percent / 100, cost: need.cost * percent / 100 };
                if self.strict
                    && let Some(held) = self.node.held(&id)
                {
                    used = used.min(held.amount);
                }
                self.spent = self.spent.plus(used);
                if !here.purse.finish(&id, used) {
                    self.send(isolate, false, vec![Op::Settle { id, used }]);
                }
            }
            Step::Report { isolate } => {
                let ops = self.isolates[isolate].purse.report(self.now, TTL_MS);
                self.send(isolate, true, ops);
            }
            Step::Deliver { which, twice } => {
                if self.in_flight.is_empty() {
                    return;
                }
                let message = self.in_flight.remove(which % self.in_flight.len());
                self.deliver(&message);
                if twice {
                    self.deliver(&message);
                }
            }
            Step::Lose { which } => {
                if self.in_flight.is_empty() {
                    return;
                }
                let lost = self.in_flight.remove(which % self.in_flight.len());
                let here = &mut self.isolates[lost.isolate];
                match (here.life == lost.life, &lost.ops[..]) {
                    (false, _) | (_, [Op::Reserve { .. }]) => {}
                    (true, [op @ Op::Settle { .. }]) if !lost.is_report => here.purse.owe(op.clone()),
                    (true, _) => here.purse.failed(),
                }
            }
            Step::Crash { isolate } => {
                self.crashed = true;
                self.isolates[isolate] = Isolate { life: self.isolates[isolate].life + 1, ..Isolate::default() };
            }
            Step::Restart => self.node = Node::restored(self.meters, self.kept.clone()),
            Step::Wait { ms } => {
                let ms = if self.strict { ms % 20 } else { ms };
                self.late |= ms >= LEASE_MS / 2;
                self.now += ms;
                // No connection is that slow.
                let now = self.now;
                let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut self.in_flight).into_iter().partition(|message| now < message.sent + 30_000);
                self.in_flight = gone;
                while !self.in_flight.is_empty() {
                    self.step(Step::Lose { which: 0 });
                }
                self.in_flight = kept;
            }
        }
        if self.strict {
            self.hold_the_law(Amount { requests: 1, tokens: 1, cost: 1 });
        }
    }

    /// Tells the node something; what it says is to be kept is kept.
    fn tell(&mut self, ops: Vec<Op>) -> Reply {
        let reply = self.node.take(Message { limits: self.limits, ops }, self.now);
        for change in self.node.changes() {
            match change {
                Change::Meters => self.meters = self.node.meters(),
                Change::Held(id) => match self.node.held(&id) {
                    Some(held) => drop(self.kept.insert(id, held)),
                    None => drop(self.kept.remove(&id)),
                },
            }
        }
        reply
    }

    fn deliver(&mut self, message: &InFlight) {
        let reply = self.tell(message.ops.clone());
        if let (Some(Grant::Granted { .. }), [Op::Reserve { need, .. }]) = (&reply.grant, &message.ops[..]) {
            self.hold_the_law(*need);
        }
        let here = &mut self.isolates[message.isolate];
        if here.life != message.life {
            return;
        }
        match &message.ops[..] {
            [Op::Reserve { id, need, .. }] => {
                if let Some(Grant::Granted { lease }) = reply.grant {
                    // A reply that comes twice is heard once.
                    if here.running.insert(id.clone(), *need).is_none()
                        && let Some(lease) = lease
                    {
                        here.purse.granted(lease, message.sent, TTL_MS);
                    }
                }
            }
            _ if message.is_report => here.purse.heard(LEASE_MS, message.sent, reply.kept),
            _ => {}
        }
    }

    /// In each dimension of which the request takes anything.
    fn hold_the_law(&mut self, need: Amount) {
        let look = self.tell(vec![Op::Look]);
        for meter in look.meters.into_iter().filter(|meter| need.of(meter.dimension) > 0) {
            assert!(
                meter.used + meter.reserved <= meter.max,
                "{:?}: {} settled and {} held of {}",
                meter.dimension,
                meter.used,
                meter.reserved,
                meter.max
            );
        }
    }

    /// Everything that is under way comes to its end.
    fn settle_down(&mut self) {
        for _ in 0..6 {
            for isolate in 0..ISOLATES {
                while !self.isolates[isolate].running.is_empty() {
                    self.step(Step::Finish { isolate, which: 0, percent: 50 });
                }
                self.step(Step::Report { isolate });
            }
            while !self.in_flight.is_empty() {
                self.step(Step::Deliver { which: 0, twice: false });
            }
        }
    }

    fn look(&mut self, dimension: Dimension) -> (u64, u64) {
        let look = self.tell(vec![Op::Look]);
        let meter = look.meters.into_iter().find(|meter| meter.dimension == dimension).unwrap();
        (meter.used, meter.reserved)
    }
}

fn limits(requests: u64, tokens: u64, cost: u64, period: &str) -> Limits {
    let limit = |max| Some(Limit { max, period: Period::parse(period, false).unwrap() });
    Limits { requests: limit(requests), tokens: limit(tokens), cost: limit(cost) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_settled_and_held_is_never_more_than_the_limit(
        steps in prop::collection::vec(step(), 1..250),
        requests in prop_oneof![0..40_u64, 100..2000_u64],
        tokens in prop_oneof![0..4000_u64, 100_000..1_000_000_u64],
        cost in prop_oneof![0..9000_u64, 100_000..1_000_000_u64],
        period in prop_oneof![Just("1h"), Just("30s")],
    ) {
        for strict in [true, false] {
        let mut world = World { strict, ..World::new(limits(requests, tokens, cost, period)) };
        for step in steps.clone() {
            world.step(step);
        }
        }
    }

    #[test]
    fn what_requests_took_is_settled_once_and_nothing_stays_held(steps in prop::collection::vec(step(), 1..250)) {
        let mut world = World::new(limits(10_000, 10_000_000, 10_000_000, "1Y"));
        for step in steps {
            world.step(step);
        }
        world.settle_down();
        let used = Amount { requests: world.look(Dimension::Requests).0, tokens: world.look(Dimension::Tokens).0, cost: world.look(Dimension::Cost).0 };
        // What a dead isolate had not told nobody knows; it is never invented.
        if world.crashed { prop_assert!(Dimension::ALL.iter().all(|d| used.of(*d) <= world.spent.of(*d))) } else { prop_assert_eq!(used, world.spent) }
        if !world.crashed && !world.late {
            prop_assert_eq!(world.look(Dimension::Cost).1, 0);
        }
        world.step(Step::Wait { ms: TTL_MS });
        prop_assert_eq!((world.look(Dimension::Requests).1, world.look(Dimension::Cost).1), (0, 0));
    }
}

#[test]
fn near_a_limit_requests_are_granted_one_by_one_and_exactly_so_many() {
    let mut node = Node::default();
    let limits = Limits { requests: Some(Limit { max: 50, period: Period::parse("1h", false).unwrap() }), ..Limits::default() };
    let mut granted = 0;
    for i in 0..200 {
        let op = Op::Reserve { id: format!("r{i}"), need: Amount { requests: 1, ..Amount::default() }, may_lease: true, ttl_ms: TTL_MS };
        match node.take(Message { limits, ops: vec![op] }, 1000).grant.unwrap() {
            Grant::Granted { lease } => {
                assert_eq!(lease, None, "of fifty, no lease is granted");
                granted += 1;
            }
            Grant::Refused(reading) => assert_eq!((reading.max, reading.reserved, reading.resets_at_ms), (50, 50, 3_601_000)),
            Grant::Busy(_) => panic!("requests take what they reserve"),
        }
    }
    assert_eq!(granted, 50);
    // Nobody settled them: free again after their time.
    let op = Op::Reserve { id: "late".into(), need: Amount { requests: 1, ..Amount::default() }, may_lease: false, ttl_ms: TTL_MS };
    assert!(matches!(node.take(Message { limits, ops: vec![op] }, 1000 + TTL_MS).grant, Some(Grant::Granted { .. })));
}

#[test]
fn a_need_that_is_estimated_high_leaves_no_budget_unused() {
    let mut node = Node::default();
    let limits = Limits { cost: Some(Limit { max: 500, period: Period::parse("1M", false).unwrap() }), ..Limits::default() };
    let reserve = |id: u32| Message {
        limits,
        ops: vec![Op::Reserve { id: id.to_string(), need: Amount { requests: 1, tokens: 9, cost: 300 }, may_lease: false, ttl_ms: TTL_MS }],
    };
    let settle = |id: u32| Message { limits, ops: vec![Op::Settle { id: id.to_string(), used: Amount { requests: 1, tokens: 3, cost: 10 } }] };
    assert!(matches!(node.take(reserve(0), 1).grant, Some(Grant::Granted { .. })));
    assert!(matches!(node.take(reserve(1), 1).grant, Some(Grant::Busy(_))), "two could pass the limit");
    node.take(settle(0), 1);
    for id in 1..50 {
        assert!(matches!(node.take(reserve(id), 1).grant, Some(Grant::Granted { .. })), "{id}");
        node.take(settle(id), 1);
    }
    assert!(matches!(node.take(reserve(50), 1).grant, Some(Grant::Refused(_))), "fifty times ten are five hundred");
}

#[test]
fn far_from_the_limit_a_lease_is_granted_and_spent_without_asking() {
    let (mut node, mut purse) = (Node::default(), Purse::default());
    let limits = limits(10_000, 10_000_000, 10_000_000, "1h");
    let need = Amount { requests: 1, tokens: 100, cost: 100 };
    assert!(!purse.take("a", need, &limits, 1000) && purse.may_lease(1000) && !purse.may_lease(1000));
    let reply = node.take(Message { limits, ops: vec![Op::Reserve { id: "a".into(), need, may_lease: true, ttl_ms: TTL_MS }] }, 1000);
    let Some(Grant::Granted { lease: Some(lease) }) = reply.grant else { panic!("no lease") };
    assert_eq!(lease.amount.requests, 9_999 / 16);
    purse.granted(lease, 1000, TTL_MS);
    for i in 0..624 {
        assert!(purse.take(&format!("b{i}"), need, &limits, 1000), "{i}");
    }
    assert!(!purse.take("c", need, &limits, 1000), "the lease is spent");
    assert!((0..624).all(|i| purse.finish(&format!("b{i}"), Amount { requests: 1, tokens: 10, cost: 10 })));
    assert!(!purse.finish("a", need), "the first one was reserved for itself");
    node.take(Message { limits, ops: purse.report(1500, TTL_MS) }, 1500);
    let used = node.take(Message { limits, ops: vec![Op::Look] }, 1500).meters;
    assert_eq!((used[0].used, used[1].used), (624, 6240));
    assert!(!purse.take("late", need, &limits, 1000 + LEASE_MS), "a lease that may have ended is not spent");
}
