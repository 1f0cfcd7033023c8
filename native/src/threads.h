// Threads: those of the OpenMP runtime that torch has loaded, so that the two never compete; else own ones.

#pragma once

#include <atomic>
#include <functional>

namespace rondo {

// All members of a team meet here. Yields after some 2,000 pauses: beside a busy process a barrier that only
// spins is many times slower.
class Barrier {
public:
    explicit Barrier(int members) : members_(members) {}
    void wait();

private:
    const int members_;
    std::atomic<int> arrived_{0};
    std::atomic<unsigned> round_{0};
};

// Runs work(member, members) on a team of at most `threads` and returns when all are done. `members` is the
// size of the team that really runs: 1 inside another parallel region or in a process made by fork, where
// the runtime's threads do not exist. The first exception of a member is thrown again here; work must not
// leave others waiting at a barrier when it throws.
void parallel(int threads, const std::function<void(int member, int members)>& work);

// "torch's OpenMP" or "own threads".
const char* threading();
// Looks for the runtime's functions in this shared library.
bool use_openmp(const char* path);

}  // namespace rondo
