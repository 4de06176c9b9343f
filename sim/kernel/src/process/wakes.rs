//! News from the network for the things that a process holds.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    task::{Wake, Waker},
};

use super::object::ObjectId;

/// What has news, in the order in which it came.
#[derive(Default)]
pub struct Wakes(Mutex<State>);

#[derive(Default)]
struct State {
    news: VecDeque<(ObjectId, u32)>,
    driver: Option<Waker>,
}

impl Wakes {
    /// Whom to wake.
    pub fn attend(&self, driver: &Waker) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state
            .driver
            .as_ref()
            .is_some_and(|own| own.will_wake(driver))
        {
            state.driver = Some(driver.clone());
        }
    }

    /// The oldest news.
    pub fn next(&self) -> Option<(ObjectId, u32)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.news.pop_front()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.news.is_empty()
    }

    /// A waker that tells these news of an object (`EPOLLIN`, `EPOLLOUT`).
    pub fn waker(self: &Arc<Self>, object: ObjectId, news: u32) -> Waker {
        Waker::from(Arc::new(Teller {
            wakes: self.clone(),
            object,
            news,
        }))
    }
}

struct Teller {
    wakes: Arc<Wakes>,
    object: ObjectId,
    news: u32,
}

impl Wake for Teller {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let driver = {
            let mut state = self.wakes.0.lock().unwrap_or_else(PoisonError::into_inner);
            let news = (self.object, self.news);
            if !state.news.contains(&news) {
                state.news.push_back(news);
            }
            state.driver.clone()
        };
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
