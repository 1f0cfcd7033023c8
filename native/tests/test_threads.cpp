// The team and its barrier: every member runs once, barriers keep rounds apart, exceptions arrive.

#include <cstdio>
#include <stdexcept>
#include <thread>
#include <vector>

#include "threads.h"

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "FAILED: %s\n", what);
}

// Members write in one round what the others read in the next: a barrier that lets one through early shows
// as a wrong sum, or to ThreadSanitizer as a race.
void rounds(int threads) {
    int team = 0;
    std::vector<long> cells(threads, 0);
    rondo::Barrier* barrier = nullptr;
    std::atomic<rondo::Barrier*> shared{nullptr};
    bool wrong = false;
    rondo::parallel(threads, [&](int member, int members) {
        if (member == 0) {
            team = members;
            barrier = new rondo::Barrier(members);
            shared.store(barrier, std::memory_order_release);
        }
        rondo::Barrier* mine;
        while (!(mine = shared.load(std::memory_order_acquire))) std::this_thread::yield();
        for (int round = 1; round <= 300; ++round) {
            cells[member] = round;
            mine->wait();
            long sum = 0;
            for (int other = 0; other < members; ++other) sum += cells[other];
            if (sum != static_cast<long>(round) * members && member == 0) wrong = true;
            mine->wait();
        }
    });
    expect(!wrong, "a barrier let a member through early");
    expect(team >= 1 && team <= threads, "the size of the team");
    delete barrier;
}

void members_run_once(int threads) {
    std::vector<std::atomic<int>> runs(threads);
    std::atomic<int> members_seen{0};
    rondo::parallel(threads, [&](int member, int members) {
        runs[member].fetch_add(1);
        members_seen.store(members);
    });
    int total = 0;
    for (auto& one : runs) total += one.load();
    expect(total == members_seen.load(), "each member runs once");
}

void exceptions_arrive() {
    bool caught = false;
    try {
        rondo::parallel(3, [](int member, int members) {
            if (member == members - 1) throw std::runtime_error("from a member");
        });
    } catch (const std::runtime_error&) {
        caught = true;
    }
    expect(caught, "an exception of a member is thrown again");
}

void inside_a_team_is_alone() {
    std::atomic<int> largest{0};
    rondo::parallel(2, [&](int, int) {
        rondo::parallel(2, [&](int, int members) {
            if (members > largest.load()) largest.store(members);
        });
    });
    expect(largest.load() == 1, "a team inside a team has one member");
}

void many_callers() {
    std::vector<std::thread> callers;
    std::atomic<long> sum{0};
    for (int i = 0; i < 4; ++i) {
        callers.emplace_back([&] {
            for (int k = 0; k < 50; ++k) {
                std::atomic<int> part{0};
                std::atomic<int> team{0};
                rondo::parallel(2, [&](int, int members) {
                    part.fetch_add(1);
                    team.store(members);
                });
                sum.fetch_add(part.load() == team.load() ? 1 : 1000000);
            }
        });
    }
    for (auto& caller : callers) caller.join();
    expect(sum.load() == 200, "several threads may call at once");
}

}  // namespace

int main() {
    for (int threads : {1, 2, 3, 5}) {
        members_run_once(threads);
        rounds(threads);
    }
    exceptions_arrive();
    inside_a_team_is_alone();
    many_callers();
    std::printf("threads: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
