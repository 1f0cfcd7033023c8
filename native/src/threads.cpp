#include "threads.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#if !defined(_WIN32)
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>
#endif

namespace rondo {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr int PAUSES = 2000;       // of a thread that waits, before it gives its core to others in between
constexpr int MOST_THREADS = 64;   // a bit each
// A thread is late when another has waited so long for it, and for longer than it would have taken to do all others'
// parts too.
constexpr auto LATE = microseconds(200);
// One that was asleep takes so long to come.
constexpr auto ABSENT = microseconds(200);
// A team is worth its waiting while that is less than one part in WORTH of its time. More is put up with until it adds up
// to PATIENCE: threads that slept may wake on one core and share it for that long, and a virtual core pauses now and then.
constexpr int WORTH = 4;
constexpr auto PATIENCE = milliseconds(8);
// For how long there is no team then: from the shortest on, LONGER times as long each time it comes to that again.
constexpr auto SHORTEST_REST = milliseconds(20), LONGEST_REST = milliseconds(320);
constexpr int LONGER = 4;

inline void pause() {
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Any clock that takes a few nanoseconds to read.
inline std::uint64_t ticks() {
#if defined(__x86_64__) || defined(_M_X64)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    std::uint64_t count;
    asm volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
#endif
}

// When there is to be a team, and when none for a while. Several callers may race here: a sum that is lost is no harm.
class Rest {
public:
    bool over() const { return Clock::now().time_since_epoch() >= load(until_); }

    // A team has taken so long, and so long of it waited for threads that were late.
    void team_ended(Clock::duration took, Clock::duration waited) {
        const auto wasted = std::max(load(wasted_) + waited - took / WORTH, Clock::duration(0));
        store(wasted_, wasted > PATIENCE ? Clock::duration(0) : wasted);
        if (wasted > PATIENCE) begin();
    }

    std::atomic<long> times{0};

private:
    using Time = std::atomic<Clock::rep>;
    static Clock::duration load(const Time& time) { return Clock::duration(time.load(std::memory_order_relaxed)); }
    static void store(Time& time, Clock::duration value) { time.store(value.count(), std::memory_order_relaxed); }

    void begin() {
        const auto now = Clock::now().time_since_epoch();
        const auto before = load(length_), ended = load(until_);
        if (now < ended) return;
        const bool again = now - ended < std::max<Clock::duration>(before, milliseconds(50));
        const Clock::duration length = again ? std::clamp<Clock::duration>(before * LONGER, SHORTEST_REST, LONGEST_REST)
                                             : Clock::duration(SHORTEST_REST);
        store(length_, length);
        store(until_, now + length);
        times.fetch_add(1, std::memory_order_relaxed);
    }

    Time wasted_{0}, until_{0}, length_{0};
};
Rest rest;

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

}  // namespace

// What a thread leaves a failed team by: the failure itself is another one's.
struct Left {};

// The threads of one call of `parallel`.
struct Team {
    explicit Team(int members_) : members(members_) {}

    const int members;
    std::atomic<std::uint64_t> begun{0};  // a bit for each thread: it has begun, or its part was taken
    std::atomic<int> absent{0};           // threads whose part was taken
    std::atomic<int> arrived{0};
    std::atomic<unsigned> round{0};  // meetings, by NEXT; and FAILED, so that who waits sees both at one look
    std::atomic<bool> late{false};  // somebody has waited too long
    std::atomic<Clock::rep> waited{0};  // for how long
    bool dissolved = false;         // written by who arrives last

    static constexpr unsigned FAILED = 1, NEXT = 2;

    // Who waits, or comes to a meeting, leaves. The thread that failed comes to none, so that nobody writes a new round
    // over this.
    void fail() { round.fetch_or(FAILED, std::memory_order_release); }
    bool failed() const { return round.load(std::memory_order_relaxed) & FAILED; }

    int first(int thread, int threads) const {
        return static_cast<int>(static_cast<std::int64_t>(members) * thread / threads);
    }
    // Whether this thread's part was not taken yet.
    bool take(int thread) {
        const std::uint64_t bit = std::uint64_t{1} << thread;
        return !(begun.fetch_or(bit, std::memory_order_acq_rel) & bit);
    }
    bool all_begun(int threads) const {
        return begun.load(std::memory_order_acquire) == ~std::uint64_t{0} >> (MOST_THREADS - threads);
    }
};

Crew::Crew(Team& team, int thread, int threads)
    : team_(threads > 1 ? &team : nullptr), thread_(thread), threads_(threads), first_(team.first(thread, threads)),
      last_(team.first(thread + 1, threads)), since_(ticks()) {}

// The parts of threads that have not begun, though they were waited for.
std::vector<int> Crew::left_by_absent() {
    waits_ = true;
    std::vector<int> left;
    if (team_->all_begun(threads_)) return left;
    const auto since = Clock::now();
    while (Clock::now() - since < ABSENT) {
        for (int i = 0; i < 50; ++i) pause();
        if (team_->all_begun(threads_)) return left;
    }
    for (int thread = 1; thread < threads_; ++thread) {
        if (!team_->take(thread)) continue;
        for (int member = team_->first(thread, threads_); member < team_->first(thread + 1, threads_); ++member) {
            left.push_back(member);
        }
        team_->absent.fetch_add(1, std::memory_order_relaxed);
        team_->late.store(true, std::memory_order_relaxed);
    }
    return left;
}

void Crew::meet() {
    Team& team = *team_;
    const std::uint64_t came = ticks();
    const unsigned round = team.round.load(std::memory_order_relaxed);
    if (round & Team::FAILED) throw Left();
    const int arrived = team.arrived.fetch_add(1, std::memory_order_acq_rel) + 1;
    if (arrived + team.absent.load(std::memory_order_relaxed) == threads_) {
        team.arrived.store(0, std::memory_order_relaxed);
        team.dissolved = team.late.load(std::memory_order_relaxed);
        team.round.store(round + Team::NEXT, std::memory_order_release);
    } else {
        const auto waits = [&] { return team.round.load(std::memory_order_acquire) == round; };
        for (int spins = 0; spins < PAUSES && waits(); ++spins) pause();
        const auto since = Clock::now();
        while (waits()) {
            std::this_thread::yield();
            const auto waited = Clock::now() - since;
            if (waited > LATE && ticks() - came > (came - since_) * static_cast<std::uint64_t>(threads_ - 1)) {
                team.late.store(true, std::memory_order_relaxed);
                team.waited.store(waited.count(), std::memory_order_relaxed);
            }
        }
        if (team.failed()) throw Left();
    }
    since_ = ticks();
    if (!team.dissolved) return;
    first_ = 0;
    last_ = thread_ == 0 ? team.members : 0;
    team_ = nullptr;
}

namespace {

struct Job {
    const std::function<void(Crew&)>& work;
    Team team;
    Clock::time_point began, done;  // of the first thread
    std::exception_ptr failure;
    std::mutex mutex;

    Job(const std::function<void(Crew&)>& work_, int members) : work(work_), team(members) {}

    void run(int thread, int threads) {
        if (!team.take(thread) || team.failed()) return;
        if (thread == 0) began = Clock::now();
        in_team = true;
        try {
            Crew crew(team, thread, threads);
            work(crew);
        } catch (const Left&) {
        } catch (...) {
            fail(std::current_exception());
        }
        in_team = false;
        if (thread == 0) done = Clock::now();
    }

    void fail(std::exception_ptr thrown) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::move(thrown);
        team.fail();
    }

    // After all threads have returned: for how long some were waited for that were late.
    Clock::duration waited(int threads, Clock::time_point ended) const {
        const auto last = ended - done;
        if (!team.late && last <= LATE + (done - began) * (threads - 1)) return Clock::duration(0);
        return Clock::duration(team.waited) + last;
    }
};

// Own threads, started when first needed; one job at a time, further callers run alone.
class Pool {
public:
    bool run(int threads, Job& job) {
        if (!busy_.try_lock()) return false;
        const std::lock_guard lock(busy_, std::adopt_lock);
        while (static_cast<int>(workers_.size()) < threads - 1) {
            const int thread = static_cast<int>(workers_.size()) + 1;
            workers_.emplace_back([this, thread, seen = round_.load()]() mutable { serve(thread, seen); });
            workers_.back().detach();
        }
        job_ = &job;
        threads_ = threads;
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
    [[noreturn]] void serve(int thread, unsigned seen) {
        while (true) {
            int spins = 0;
            while (round_.load(std::memory_order_acquire) == seen && ++spins < PAUSES) pause();
            if (round_.load(std::memory_order_acquire) == seen) {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return round_.load(std::memory_order_acquire) != seen; });
            }
            ++seen;
            if (thread < threads_) job_->run(thread, threads_);
            left_.fetch_sub(1, std::memory_order_acq_rel);
        }
    }

    std::mutex busy_, mutex_;
    std::condition_variable wake_;
    std::atomic<unsigned> round_{0};
    std::atomic<int> left_{0};
    Job* job_ = nullptr;
    int threads_ = 0;
    std::vector<std::thread> workers_;
};

// Never destroyed: its threads wait in it when the process ends.
Pool& pool() {
    static Pool* instance = new Pool;
    return *instance;
}

void run(int members, const std::function<void(Crew&)>& work, bool at_once) {
    const bool alone = members <= 1 || in_team || forked || (openmp.inside && openmp.inside()) || !(at_once || rest.over());
    Job job(work, members);
    const int threads = std::min(members, MOST_THREADS);
    if (!alone && openmp.parallel) {
        openmp.parallel([](void* data) { static_cast<Job*>(data)->run(openmp.thread(), openmp.threads()); }, &job,
                        static_cast<unsigned>(threads), 0);
    } else if (alone || !pool().run(threads, job)) {
        Crew crew(members);
        work(crew);
        return;
    }
    if (job.failure) std::rethrow_exception(job.failure);  // for how long a failed team waited says nothing
    const auto ended = Clock::now();
    rest.team_ended(ended - job.began, job.waited(threads, ended));
}

}  // namespace

void parallel(int members, const std::function<void(Crew&)>& work) { run(members, work, false); }

void parallel_at_once(int members, const std::function<void(Crew&)>& work) { run(members, work, true); }

long times_late() { return rest.times.load(); }

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
