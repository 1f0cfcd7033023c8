#include "threads.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
#endif

namespace rondo {
namespace {

constexpr int PAUSES = 2000;

inline void pause() {
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// GNU OpenMP's entry points, as torch's own code calls them.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
    int (*thread)() = nullptr;
    int (*threads)() = nullptr;
    int (*inside)() = nullptr;
};
OpenMP openmp;

thread_local bool in_team = false;
std::atomic<bool> forked{false};

#if !defined(_WIN32)
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });
#endif

struct Job {
    const std::function<void(int, int)>* work;
    std::exception_ptr failure;
    std::mutex mutex;

    void run(int member, int members) {
        const bool before = in_team;
        in_team = true;
        try {
            (*work)(member, members);
        } catch (...) {
            const std::lock_guard lock(mutex);
            if (!failure) failure = std::current_exception();
        }
        in_team = before;
    }
};

// Own threads, started when first needed; one job at a time, further callers run alone.
class Pool {
public:
    bool run(int threads, Job& job) {
        if (!busy_.try_lock()) return false;
        const std::lock_guard lock(busy_, std::adopt_lock);
        while (static_cast<int>(workers_.size()) < threads - 1) {
            const int member = static_cast<int>(workers_.size()) + 1;
            workers_.emplace_back([this, member, seen = round_.load()]() mutable { serve(member, seen); });
            workers_.back().detach();
        }
        job_ = &job;
        members_ = threads;
        left_ = static_cast<int>(workers_.size());
        {
            const std::lock_guard wake(mutex_);
            round_.fetch_add(1, std::memory_order_release);
        }
        wake_.notify_all();
        job.run(0, threads);
        for (int spins = 0; left_.load(std::memory_order_acquire) != 0; ++spins) {
            if (spins < PAUSES) pause();
            else std::this_thread::yield();
        }
        return true;
    }

private:
    [[noreturn]] void serve(int member, unsigned seen) {
        while (true) {
            int spins = 0;
            while (round_.load(std::memory_order_acquire) == seen && ++spins < PAUSES) pause();
            if (round_.load(std::memory_order_acquire) == seen) {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
            }
            ++seen;
            if (member < members_) job_->run(member, members_);
            left_.fetch_sub(1, std::memory_order_acq_rel);
        }
    }

    std::mutex busy_, mutex_;
    std::condition_variable wake_;
    std::atomic<unsigned> round_{0};
    std::atomic<int> left_{0};
    Job* job_ = nullptr;
    int members_ = 0;
    std::vector<std::thread> workers_;
};

// Never destroyed: its threads wait in it when the process ends.
Pool& pool() {
    static Pool* instance = new Pool;
    return *instance;
}

}  // namespace

void Barrier::wait() {
    if (members_ == 1) return;
    const unsigned round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
        arrived_.store(0, std::memory_order_relaxed);
        round_.store(round + 1, std::memory_order_release);
        return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
        if (spins < PAUSES) pause();
        else std::this_thread::yield();
    }
}

void parallel(int threads, const std::function<void(int, int)>& work) {
    Job job{&work, nullptr, {}};
    const bool alone = threads <= 1 || in_team || forked || (openmp.inside && openmp.inside());
    if (alone) {
        job.run(0, 1);
    } else if (openmp.parallel) {
        openmp.parallel([](void* data) { static_cast<Job*>(data)->run(openmp.thread(), openmp.threads()); }, &job,
                        static_cast<unsigned>(threads), 0);
    } else if (!pool().run(threads, job)) {
        job.run(0, 1);
    }
    if (job.failure) std::rethrow_exception(job.failure);
}

const char* threading() { return openmp.parallel ? "torch's OpenMP" : "own threads"; }

bool use_openmp(const char* path) {
#if defined(_WIN32)
    (void)path;
    return false;
#else
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    OpenMP found;
    found.parallel = reinterpret_cast<decltype(found.parallel)>(dlsym(library, "GOMP_parallel"));
    found.thread = reinterpret_cast<decltype(found.thread)>(dlsym(library, "omp_get_thread_num"));
    found.threads = reinterpret_cast<decltype(found.threads)>(dlsym(library, "omp_get_num_threads"));
    found.inside = reinterpret_cast<decltype(found.inside)>(dlsym(library, "omp_in_parallel"));
    if (!found.parallel || !found.thread || !found.threads || !found.inside) return false;
    openmp = found;
    return true;
#endif
}

}  // namespace rondo
