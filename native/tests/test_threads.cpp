// The team: every member's part is done once, phases keep apart, exceptions arrive and leave nobody behind, and nobody
// who is late is waited for twice.

#include "threads.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hangs_testing.h"

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "FAILED: %s\n", what);
}

using Clock = std::chrono::steady_clock;

bool within(Clock::time_point since, int milliseconds) {
    return Clock::now() - since < std::chrono::milliseconds(milliseconds);
}

void compute(int milliseconds) {
    for (const auto since = Clock::now(); within(since, milliseconds);) {}
}

void sleep(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

// What torch's OpenMP has, so that a test says when threads begin: milliseconds after the first one.
int begin_late = 0;
thread_local int own_number = 0, own_team = 1;

}  // namespace

extern "C" {

void GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned) {
    const auto run = [=](int thread) {
        own_number = thread;
        own_team = static_cast<int>(threads);
        work(data);
        own_number = 0;
        own_team = 1;
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < static_cast<int>(threads); ++thread) {
        others.emplace_back([=] {
            if (begin_late) sleep(begin_late);
            run(thread);
        });
    }
    run(0);
    for (auto& other : others) other.join();
}

int omp_get_thread_num() { return own_number; }
int omp_get_num_threads() { return own_team; }
int omp_in_parallel() { return own_team > 1; }

}  // extern "C"

namespace {

// Until threads that were late are asked for again, and are awake, each on a core of its own.
void rested(int members) {
    sleep(400);
    rondo::parallel_at_once(members, [](rondo::Crew&) { compute(20); });
}

// Into how many crews a run is divided now: as many as there are members, or one if there is no team.
int crews(int members) {
    std::atomic<int> count{0};
    rondo::parallel(members, [&](rondo::Crew&) { count.fetch_add(1); });
    return count.load();
}

// Members write in one phase what the others read in the next: a phase that ends early shows as a wrong sum, or to
// ThreadSanitizer as a race.
void phases(int members) {
    std::vector<long> cells(members, 0);
    std::vector<char> wrong(members, 0);
    rondo::parallel(members, [&](rondo::Crew& crew) {
        for (int round = 1; round <= 300; ++round) {
            crew.phase([&](int member) { cells[member] = round; });
            crew.phase([&](int member) {
                long sum = 0;
                for (int other = 0; other < members; ++other) sum += cells[other];
                if (sum != static_cast<long>(round) * members) wrong[member] = 1;
            });
        }
    });
    for (char one : wrong) expect(!one, "a phase ended early");
}

void members_are_done_once(int members) {
    std::vector<std::atomic<int>> runs(members);
    rondo::parallel(members, [&](rondo::Crew& crew) {
        crew.each([&](int member) { runs[member].fetch_add(1); });
        crew.phase([&](int member) { runs[member].fetch_add(10); });
        crew.each([&](int member) { runs[member].fetch_add(100); });
    });
    for (auto& one : runs) expect(one.load() == 111, "each member's part is done once");
}

// One member sleeps, in the first phase or in a later one: nobody waits for its thread a second time, and all parts are
// done all the same.
void with_one_late(int members, int sleeps_in, int milliseconds) {
    std::vector<int> done(members, 0);
    std::vector<std::thread::id> by(members);
    rondo::parallel(members, [&](rondo::Crew& crew) {
        for (int phase = 0; phase < 40; ++phase) {
            crew.phase([&](int member) {
                if (member == members - 1 && phase == sleeps_in) sleep(milliseconds);
                ++done[member];
                by[member] = std::this_thread::get_id();
            });
        }
    });
    for (int one : done) expect(one == 40, "all parts are done though a thread was late");
    for (const auto& one : by) expect(one == std::this_thread::get_id(), "the first thread goes on without who is late");
}

// What other work on the machine may spoil must hold in one of some tries.
template <class Holds>
void expect_once(const char* what, const Holds& holds) {
    for (int tries = 0; tries < 10; ++tries) {
        if (holds()) return;
    }
    expect(false, what);
}

void after_long_waiting_there_is_no_team(int members, int sleeps_in) {
    expect_once("for a while there is no team", [&] {
        rested(members);
        const long before = rondo::times_late();
        with_one_late(members, sleeps_in, 30);
        return rondo::times_late() == before + 1 && crews(members) == 1;
    });
    std::atomic<int> at_once{0};
    rondo::parallel_at_once(members, [&](rondo::Crew&) { at_once.fetch_add(1); });
    expect(at_once.load() == members, "unless all are wanted");
    expect_once("then there is a team again", [&] {
        rested(members);
        return crews(members) == members;
    });
}

// A stall now and then costs less than to go on alone; one after the other they add up.
void stalls_are_put_up_with_while_they_are_few(int members) {
    expect_once("short stalls are put up with", [&] {
        rested(members);
        const long before = rondo::times_late();
        for (int k = 0; k < 10; ++k) {
            with_one_late(members, 1, 1);
            rondo::parallel(members, [](rondo::Crew&) { compute(8); });
        }
        return rondo::times_late() == before && crews(members) == members;
    });
    expect_once("many short stalls are not", [&] {
        rested(members);
        const long before = rondo::times_late();
        for (int k = 0; k < 15; ++k) with_one_late(members, 1, 1);
        return rondo::times_late() > before;
    });
}

void exceptions_arrive() {
    bool caught = false;
    try {
        rondo::parallel(3, [](rondo::Crew& crew) {
            crew.each([](int member) {
                if (member == 2) throw std::runtime_error("from a member");
            });
        });
    } catch (const std::runtime_error&) {
        caught = true;
    }
    expect(caught, "an exception of a member is thrown again");
}

constexpr int PHASES = 6;

struct Failure {
    int in, of;             // the phase, or behind all of them; the member
    int after = 0;          // milliseconds
    bool one_late = false;  // the last member sleeps in the phase before, so that the team is dissolved
};

// The failing member's exception arrives, and nobody comes further than its phase. How many phases each has done.
std::vector<int> fail(int members, const Failure& failure) {
    std::vector<int> done(members, 0);
    std::string caught;
    const auto fails = [&](int phase, int member) {
        if (failure.one_late && phase == failure.in - 1 && member == members - 1) sleep(5);
        if (phase != failure.in || member != failure.of) return;
        if (failure.after) sleep(failure.after);
        throw std::runtime_error(std::to_string(member));
    };
    try {
        rondo::parallel_at_once(members, [&](rondo::Crew& crew) {
            for (int phase = 0; phase < PHASES; ++phase) {
                crew.phase([&](int member) {
                    fails(phase, member);
                    ++done[member];
                });
            }
            crew.each([&](int member) { fails(PHASES, member); });
        });
    } catch (const std::runtime_error& error) {
        caught = error.what();
    }
    expect(caught == std::to_string(failure.of), "a member's exception is thrown again");
    for (int one : done) {
        expect(one >= failure.in && one <= std::min(failure.in + 1, PHASES), "all leave where one has failed");
    }
    return done;
}

void failures_end_the_team(int members) {
    for (int in : {0, 2, PHASES - 1, PHASES}) {
        for (int of = 0; of < members; ++of) {
            for (int after : {0, 3}) {  // the others wait for long
                fail(members, {in, of, after});
                members_are_done_once(members);
            }
            if (in > 0) fail(members, {in, of, 0, true});
        }
    }
    phases(members);
}

void all_may_fail() {
    std::atomic<int> thrown{0};
    bool caught = false;
    try {
        rondo::parallel_at_once(3, [&](rondo::Crew& crew) {
            crew.phase([&](int) {
                thrown.fetch_add(1);
                throw std::runtime_error("from each member");
            });
        });
    } catch (const std::runtime_error&) {
        caught = true;
    }
    expect(caught && thrown.load() >= 1, "the first of several exceptions is thrown again");
    members_are_done_once(3);
}

void failures_of_a_team_inside_arrive() {
    bool caught = false;
    try {
        rondo::parallel_at_once(2, [&](rondo::Crew& outer) {
            outer.phase([&](int member) {
                rondo::parallel(2, [&](rondo::Crew& crew) {
                    crew.phase([&](int part) {
                        if (member == 1 && part == 1) throw std::runtime_error("from inside");
                    });
                });
            });
        });
    } catch (const std::runtime_error&) {
        caught = true;
    }
    expect(caught, "an exception of a team inside a team arrives");
    members_are_done_once(2);
}

// How long others went on after a failure says nothing about who is late.
void after_a_failure_there_is_a_team() {
    expect_once("after a failure there is a team", [&] {
        rested(2);
        const long before = rondo::times_late();
        bool caught = false;
        try {
            rondo::parallel(2, [](rondo::Crew& crew) {
                crew.phase([](int member) {
                    if (member == 0) {
                        sleep(1);  // so that the other one has begun
                        throw std::runtime_error("at once");
                    }
                    compute(20);
                });
            });
        } catch (const std::runtime_error&) {
            caught = true;
        }
        expect(caught, "an exception is thrown again");
        return rondo::times_late() == before && crews(2) == 2;
    });
}

// Threads that begin late: the calling thread has failed, or does their parts and fails there.
void failures_while_a_thread_is_absent(int members) {
    begin_late = 20;
    const std::vector<int> done = fail(members, {0, 0});
    expect(std::count(done.begin(), done.end(), 0) == members, "who comes after a failure does nothing");
    for (int of = 0; of < members; ++of) {
        for (int in : {0, 2}) fail(members, {in, of});
    }
    begin_late = 0;
    members_are_done_once(members);
}

void inside_a_team_is_alone() {
    std::atomic<int> threads{0}, parts{0};
    rondo::parallel(2, [&](rondo::Crew& outer) {
        outer.each([&](int) {
            rondo::parallel(3, [&](rondo::Crew& crew) {
                threads.fetch_add(1);
                crew.phase([&](int) { parts.fetch_add(1); });
            });
        });
    });
    expect(threads.load() == 2 && parts.load() == 6, "a team inside a team is one thread");
}

void many_callers() {
    std::vector<std::thread> callers;
    std::atomic<long> sum{0};
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back([&] {
            for (int k = 0; k < 50; ++k) {
                std::atomic<int> parts{0};
                rondo::parallel(2, [&](rondo::Crew& crew) { crew.phase([&](int) { parts.fetch_add(1); }); });
                sum.fetch_add(parts.load());
            }
        });
    }
    for (auto& caller : callers) caller.join();
    expect(sum.load() == 400, "several threads may call at once");
}

}  // namespace

int main() {
    for (int members : {1, 2, 3, 5}) {
        members_are_done_once(members);
        phases(members);
    }
    for (int phase : {0, 3}) after_long_waiting_there_is_no_team(2, phase);
    after_long_waiting_there_is_no_team(3, 1);
    stalls_are_put_up_with_while_they_are_few(2);
    exceptions_arrive();
    inside_a_team_is_alone();
    many_callers();
    rondo::testing::end_within(120);
    for (bool by_openmp : {false, true}) {
        if (by_openmp && !rondo::use_openmp(nullptr)) break;
        for (int members : {2, 3, 5}) failures_end_the_team(members);
        all_may_fail();
        failures_of_a_team_inside_arrive();
        after_a_failure_there_is_a_team();
    }
    if (rondo::threading() != std::string("own threads")) {
        for (int members : {2, 3, 5}) failures_while_a_thread_is_absent(members);
    }
    std::printf("threads: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
