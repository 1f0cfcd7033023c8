// Memory that is used again: blocks of the sizes that are wanted now are kept, those that are not are given back.

#include <cstdio>
#include <vector>

#include "memory.h"

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
    if (holds) return;
    ++failures;
    std::fprintf(stderr, "FAILED: %s\n", what);
}

constexpr std::size_t MEGABYTE = 1 << 20;

void a_block_is_found_again() {
    void* first;
    {
        const rondo::Memory block(3 * MEGABYTE);
        first = block.data();
    }
    const rondo::Memory again(3 * MEGABYTE);
    expect(again.data() == first, "a block of the same size is used again");
}

// Sizes of a first kind of run lie in the pool when a second kind takes turns with nothing else.
void the_latest_sizes_are_kept() {
    rondo::release_cached();
    { const rondo::Memory one(2 * MEGABYTE), two(5 * MEGABYTE), three(MEGABYTE / 2); }
    std::vector<void*> seen;
    for (int turn = 0; turn < 3; ++turn) {
        const rondo::Memory one(MEGABYTE), two(6 * MEGABYTE);
        if (turn > 0) expect(one.data() == seen[0] && two.data() == seen[1], "the sizes wanted now are kept");
        seen = {one.data(), two.data()};
    }
}

void no_more_lies_unused_than_was_in_use() {
    rondo::release_cached();
    for (std::size_t size = 1; size < 40; ++size) {
        const rondo::Memory block(size * MEGABYTE / 8);
    }
    const rondo::PoolState state = rondo::pool_state();
    expect(state.in_use == 0, "all is given back");
    expect(state.cached > 0 && state.cached <= state.peak, "what lies unused is at most what was in use");
    rondo::release_cached();
    expect(rondo::pool_state().cached == 0, "the system gets what is unused");
}

}  // namespace

int main() {
    a_block_is_found_again();
    the_latest_sizes_are_kept();
    no_more_lies_unused_than_was_in_use();
    std::printf("memory: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
