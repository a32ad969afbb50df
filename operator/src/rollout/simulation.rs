//! Random fleets under random faults, second by second: what is seen lags behind what is, and the operator dies in between.

use std::collections::VecDeque;

use k8s_openapi::jiff::ToSpan as _;

use super::*;
use crate::observe::Turn;

/// A small random generator (xorshift64*), so that a failing seed can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % sides
    }
}

/// What a session's pod really does.
#[derive(Debug, Clone)]
enum Real {
    Up,
    /// It ends at this second; then a new one is made.
    Ending(i64),
    /// It was made, and comes up then. None: never.
    Coming(Option<i64>),
}

#[derive(Debug, Clone)]
struct Actor {
    real: Real,
    revision: u32,
    pod: u32,
    created: i64,
    /// Since when it is not up.
    fell: i64,
    canary: bool,
    own_change: bool,
    broken_from_the_start: bool,
}

struct World {
    dice: Dice,
    actors: Vec<Actor>,
    now: i64,
    revision: u32,
    /// Of a hundred pods of the present revision, so many never come up.
    bad: u64,
    lag: usize,
    seen: VecDeque<Vec<Session>>,
}

const SETTINGS: Settings =
    Settings { budget: Budget::Percent(10), max_failures: 2, progress_deadline: Duration::from_secs(30) };

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1));
        let size = 1 + dice.roll(60);
        let broken = if size > 30 { 2 } else { 0 };
        let actors = (0..size)
            .map(|place| Actor {
                real: if place < broken { Real::Coming(None) } else { Real::Up },
                revision: 1,
                pod: 1,
                created: -10_000,
                fell: -5_000,
                canary: dice.roll(40) == 0 && place >= broken,
                own_change: false,
                broken_from_the_start: place < broken,
            })
            .collect();
        Self {
            lag: 1 + usize::try_from(dice.roll(4)).unwrap(),
            dice,
            actors,
            now: 0,
            revision: 2,
            bad: 0,
            seen: VecDeque::new(),
        }
    }

    fn budget(&self) -> usize {
        SETTINGS.budget.of(self.actors.len())
    }

    fn snapshot(&self) -> Vec<Session> {
        self.actors.iter().enumerate().map(|(place, actor)| self.session(place, actor)).collect()
    }

    fn session(&self, place: usize, actor: &Actor) -> Session {
        let current = actor.revision == self.revision;
        let change = match (current, actor.own_change) {
            (false, _) => Change::Fleet,
            (true, true) => Change::Own,
            (true, false) => Change::None,
        };
        let down = Health::Down { since: Some(at(actor.fell)), failing: None };
        Session {
            key: key(place),
            canary: actor.canary,
            automatic: true,
            health: if matches!(actor.real, Real::Up) { Health::Up } else { down },
            refused: false,
            pod: Some(Pod {
                uid: actor.pod.to_string(),
                created: at(actor.created),
                ending: matches!(actor.real, Real::Ending(_)),
                current,
                replaced_working: actor.created - actor.fell <= 90,
                change,
            }),
        }
    }

    /// A second passes.
    fn pass(&mut self) {
        self.now += 1;
        let (now, revision) = (self.now, self.revision);
        for actor in &mut self.actors {
            match actor.real {
                Real::Ending(end) if end <= now => {
                    let never = self.dice.roll(100) < self.bad || actor.broken_from_the_start;
                    let up = now + 1 + i64::try_from(self.dice.roll(8)).unwrap();
                    actor.real = Real::Coming((!never).then_some(up));
                    (actor.revision, actor.pod, actor.created) = (revision, actor.pod + 1, now);
                    actor.own_change = false;
                }
                Real::Coming(Some(up)) if up <= now => actor.real = Real::Up,
                Real::Up | Real::Ending(_) | Real::Coming(_) => {}
            }
        }
        self.seen.push_back(self.snapshot());
        while self.seen.len() > self.lag {
            self.seen.pop_front();
        }
    }

    /// Some of those whose turn it is go; the others are late.
    fn act(&mut self, fleet: &Fleet) {
        for place in 0..self.actors.len() {
            let pod = self.actors[place].pod.to_string();
            let ending = matches!(self.actors[place].real, Real::Ending(_));
            if !ending && fleet.turn(&key(place), &pod) == Turn::Now && self.dice.roll(3) > 0 {
                let end = self.now + 1 + i64::try_from(self.dice.roll(5)).unwrap();
                let actor = &mut self.actors[place];
                if matches!(actor.real, Real::Up) {
                    actor.fell = self.now;
                }
                actor.real = Real::Ending(end);
            }
        }
    }

    /// No more than the budget are on their way, and no more of those that worked are away.
    fn check(&self, seed: u64) {
        let on_their_way = self.actors.iter().filter(|actor| match actor.real {
            Real::Up => false,
            Real::Ending(_) => true,
            Real::Coming(_) => self.now - actor.created <= 30 && actor.created >= 0,
        });
        assert!(on_their_way.count() <= self.budget(), "seed {seed}, second {}", self.now);
    }

    /// Lives on for so many seconds. The operator dies now and then; a new one has seen the world as it is.
    fn live(&mut self, seed: u64, seconds: i64, fleet: &mut Fleet) {
        for _ in 0..seconds {
            self.pass();
            if self.dice.roll(40) == 0 {
                *fleet = Fleet::new(SETTINGS, String::new());
                self.seen = VecDeque::from([self.snapshot()]);
            }
            let view = self.seen.front().unwrap();
            fleet.look(view, at(self.now));
            self.act(fleet);
            self.check(seed);
        }
    }

    fn working(&self) -> impl Iterator<Item = &Actor> {
        self.actors.iter().filter(|actor| !actor.broken_from_the_start)
    }
}

fn key(place: usize) -> SessionKey {
    SessionKey::new("n", &format!("s{place:03}"))
}

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + (1_000_000 + second).seconds()
}

const SEEDS: u64 = 25;

#[test]
fn a_good_revision_reaches_everybody_within_the_budget() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let mut fleet = Fleet::new(SETTINGS, String::new());
        world.live(seed, 1_000, &mut fleet);
        let old = world.actors.iter().filter(|actor| actor.revision != 2).count();
        assert_eq!(old, 0, "seed {seed}: {:#?}", world.actors);
    }
}

#[test]
fn a_bad_revision_costs_the_canary_and_a_good_one_mends_it() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.bad = 100;
        let mut fleet = Fleet::new(SETTINGS, String::new());
        world.live(seed, 300, &mut fleet);
        assert_eq!(world.working().filter(|actor| actor.revision == 2).count(), 1, "seed {seed}");
        assert!(matches!(fleet.plan().phase, Phase::Stopped(_) | Phase::Done), "seed {seed}");
        (world.revision, world.bad) = (3, 0);
        world.live(seed, 1_000, &mut fleet);
        assert!(world.actors.iter().all(|actor| actor.revision == 3), "seed {seed}: {:#?}", world.actors);
        assert!(world.working().all(|actor| matches!(actor.real, Real::Up)), "seed {seed}");
    }
}

#[test]
fn a_revision_that_is_bad_for_some_stops_soon() {
    let mut stopped = 0_u64;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.bad = 30;
        let mut fleet = Fleet::new(SETTINGS, String::new());
        world.live(seed, 1_000, &mut fleet);
        let lost = world.working().filter(|actor| !matches!(actor.real, Real::Up)).count();
        // Those that were on their way when the limit was reached may fail as well.
        assert!(lost < SETTINGS.max_failures + world.budget(), "seed {seed}: {lost} lost");
        stopped += u64::from(matches!(fleet.plan().phase, Phase::Stopped(_)));
    }
    assert!(stopped * 3 > SEEDS, "only {stopped} of {SEEDS} rollouts stopped");
}

#[test]
fn own_changes_and_a_rollout_share_the_budget() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let mut fleet = Fleet::new(SETTINGS, String::new());
        for _ in 0..10 {
            world.live(seed, 20, &mut fleet);
            let place = usize::try_from(world.dice.roll(world.actors.len() as u64)).unwrap();
            world.actors[place].own_change = true;
        }
        world.live(seed, 1_000, &mut fleet);
        assert!(world.actors.iter().all(|actor| actor.revision == 2 && !actor.own_change), "seed {seed}");
    }
}
