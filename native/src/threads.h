// Threads: those of the OpenMP runtime that torch has loaded, so that the two never compete; else own ones.
//
// Work is divided between a number of *members* that is given, so that results do not depend on who comes: a thread
// does the part of some of them. On a machine that has nothing else to do each member has a thread. Where a core is
// another process's at the moment, a thread that must wait for one there would wait for milliseconds: the calling
// thread then does the parts of all others, and comes back to a team when a while has passed.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace rondo {

struct Team;

// The members whose part a thread does: some, all, or, once it is not waited for any longer, none.
class Crew {
public:
    // All members, done by one thread.
    explicit Crew(int members) : first_(0), last_(members) {}
    Crew(Team& team, int thread, int threads);

    // work(member) for each of them.
    template <class Work>
    void each(const Work& work) {
        waits_ = true;
        do_parts(work);
    }

    // work(member) for each of all members, by whoever does its part. Nobody returns before all are done, and what
    // one has written is there for the others. Where work throws, all threads leave by an
    // exception: those that wait at once, others when they come to the end of a phase.
    template <class Work>
    void phase(const Work& work) {
        do_parts(work);
        if (!team_) return;
        if (thread_ == 0 && !waits_) {
            for (int member : left_by_absent()) work(member);
        }
        meet();
    }

private:
    template <class Work>
    void do_parts(const Work& work) const {
        for (int member = first_; member < last_; ++member) work(member);
    }
    std::vector<int> left_by_absent();
    void meet();

    Team* team_ = nullptr;
    int thread_ = 0, threads_ = 1, first_, last_;
    bool waits_ = false;       // until all threads have come: a part that was left undone is not known any more
    std::uint64_t since_ = 0;  // the clock when the phase began
};

// Runs work(crew) on at most as many threads as there are members, and returns when all have returned; each member is
// in one crew. Alone inside another parallel region or in a process made by fork, where the runtime's threads do not
// exist, and for a while after teams have waited long for late threads. The first exception of a thread is thrown again
// here, when all have left; what they were to write is then written in part.
void parallel(int members, const std::function<void(Crew&)>& work);

// The same on as many threads as there are members, however late they come: for measuring what they can do.
void parallel_at_once(int members, const std::function<void(Crew&)>& work);

// "torch's OpenMP" or "own threads".
const char* threading();
// Looks for the runtime's functions in this shared library.
bool use_openmp(const char* path);

// How often there was no team for a while, as threads had been late.
long times_late();

}  // namespace rondo
