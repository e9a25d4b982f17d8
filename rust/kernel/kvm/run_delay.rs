// SPDX-License-Identifier: GPL-2.0

//! How long a thread had to wait for a CPU, which is time stolen from the guest of its vCPU.

use crate::bindings;

/// What the scheduler knows of the current thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunDelay {
    /// Which thread it is, among those that there are.
    task: usize,
    /// How long it had to wait, in nanoseconds.
    nanoseconds: u64,
}

impl RunDelay {
    /// Returns whether the scheduler measures it.
    pub fn is_measured() -> bool {
        // SAFETY: The function has no requirements.
        unsafe { bindings::sched_info_on() }
    }

    /// Returns that of the current thread; 0 unless it [is measured](Self::is_measured).
    pub fn of_current() -> Self {
        // SAFETY: The current task is valid while it runs.
        let task = unsafe { bindings::get_current() };
        #[cfg(CONFIG_SCHED_INFO)]
        // SAFETY: As above. The field changes only while the task does not run.
        let nanoseconds = unsafe { (&raw const (*task).sched_info.run_delay).read_volatile() };
        #[cfg(not(CONFIG_SCHED_INFO))]
        let nanoseconds = 0;
        Self {
            task: task as usize,
            nanoseconds,
        }
    }

    /// Returns how long the thread had to wait since `earlier`, in nanoseconds; 0 if that is
    /// about another thread.
    pub fn since(self, earlier: Self) -> u64 {
        if self.task == earlier.task {
            self.nanoseconds.saturating_sub(earlier.nanoseconds)
        } else {
            0
        }
    }
}
