//! Random steps, asked of a store and of the one in memory.
//!
//! `proptest-state-machine` makes and shrinks the steps: it knows the state that they lead to, which is
//! a store in memory, so that most of them fit what is there and some do not.

mod act;
mod beside;
mod draft;
mod steps;

use super::Stage;
use act::Reference;
use beside::Beside;
use proptest::{
    strategy::{Just, Strategy as _},
    test_runner::{Config, TestCaseError, TestRunner},
};
use proptest_state_machine::Sequential;
use std::{sync::atomic::Ordering, time::Duration};

/// At most so many steps in a case.
const STEPS: usize = 60;

/// Asks the store of a stage, on two handles where it has them and with reopening where it lasts, what
/// it asks the store in memory: batches good and bad, leases, erasing and pruning, windows and lists.
/// Every answer has to be the same, every growth has to be heard of, and in the end all that there is.
/// `PROPTEST_CASES` overrides how many cases there are.
///
/// # Panics
/// Where the two differ; it shows the shortest steps that do.
pub fn agrees<S: Stage>(cases: u32, make: impl AsyncFn() -> S) {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let can = runtime.block_on(async { make().await.open().await.info().capabilities });
    let sequences = Sequential::new(
        (1..STEPS).into(),
        move || Just(Reference::new(can)).boxed(),
        |_, _| true,
        steps::step,
        Reference::after,
    );
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&sequences, |(mut model, steps, seen)| {
        runtime.block_on(async {
            let stage = make().await;
            let mut beside = Beside::new(&stage).await;
            for step in &steps {
                if let Some(seen) = &seen {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                model = model.after(step);
                within(stage.patience(), beside.follows(&model, step)).await?;
            }
            within(stage.patience(), beside.equals(&model)).await
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

async fn within(
    patience: Duration,
    step: impl Future<Output = Result<(), TestCaseError>>,
) -> Result<(), TestCaseError> {
    let late = |_| TestCaseError::fail(format!("a step took longer than {} s", patience.as_secs()));
    tokio::time::timeout(patience, step).await.map_err(late)?
}
