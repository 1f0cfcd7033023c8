// Memory that ends: whichever allocation fails, in whatever thread, it is an exception, nothing hangs, nothing is lost,
// and the next run is right.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "dispatch.h"
#include "hangs_testing.h"
#include "plans_testing.h"
#include "stepper.h"

namespace {

using rondo::testing::Array;
using rondo::testing::Cell;
using rondo::testing::Runs;
using rondo::testing::Shape;
using rondo::testing::context;
using rondo::testing::expect;
using rondo::testing::failures;

// The allocation that fails, counted from one, and whether all after it do; 0: none.
std::atomic<long> failing{0}, asked{0}, alive{0};
std::atomic<bool> and_all_after{false};

bool fails() {
    const long which = failing.load();
    if (!which) return false;
    const long number = asked.fetch_add(1) + 1;
    return number == which || (number > which && and_all_after.load());
}

void* taken(std::size_t size, std::size_t alignment) {
    if (fails()) return nullptr;
    void* block = nullptr;
    if (posix_memalign(&block, std::max(alignment, sizeof(void*)), std::max<std::size_t>(size, 1)) != 0) return nullptr;
    alive.fetch_add(1);
    return block;
}

void* taken_or_thrown(std::size_t size, std::size_t alignment) {
    void* const block = taken(size, alignment);
    if (!block) throw std::bad_alloc();
    return block;
}

void given_back(void* block) {
    if (block) alive.fetch_sub(1);
    std::free(block);
}

}  // namespace

// All of them: those of a sanitizer would not know blocks of the others.
void* operator new(std::size_t n) { return taken_or_thrown(n, alignof(std::max_align_t)); }
void* operator new[](std::size_t n) { return taken_or_thrown(n, alignof(std::max_align_t)); }
void* operator new(std::size_t n, std::align_val_t a) { return taken_or_thrown(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return taken_or_thrown(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return taken(n, alignof(std::max_align_t)); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return taken(n, alignof(std::max_align_t)); }
void operator delete(void* p) noexcept { given_back(p); }
void operator delete[](void* p) noexcept { given_back(p); }
void operator delete(void* p, std::size_t) noexcept { given_back(p); }
void operator delete[](void* p, std::size_t) noexcept { given_back(p); }
void operator delete(void* p, std::align_val_t) noexcept { given_back(p); }
void operator delete[](void* p, std::align_val_t) noexcept { given_back(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { given_back(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { given_back(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { given_back(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { given_back(p); }

namespace {

// Whether work ended by std::bad_alloc where this allocation failed. `reached`: whether there was such a one.
bool ends(const std::function<void()>& work, long number, bool all, bool& reached) {
    bool thrown = false;
    asked = 0;
    and_all_after = all;
    failing = number;
    try {
        work();
    } catch (const std::bad_alloc&) {
        thrown = true;
    }
    failing = 0;
    reached = asked.load() >= number;
    return thrown;
}

// Lets each allocation of some work fail, alone and with all after it.
void each_allocation_fails(const std::string& what, const std::function<void()>& work,
                           const std::function<Array()>& result) {
    context = what;
    work();  // threads stay, and what is kept for the next run
    const Array wanted = result();
    rondo::release_cached();
    const long blocks = alive.load();
    for (bool all : {false, true}) {
        bool reached = true;
        long number = 1, times = 0;
        for (; reached; ++number) {
            rondo::release_cached();
            const bool thrown = ends(work, number, all, reached);
            times += thrown;
            // A run does without what it would keep for the next one, and where one allocation fails alone may be given
            // what is cached.
            expect(!thrown || reached, "an exception comes of an allocation that fails");
            expect(thrown || result() == wanted, "without an exception the result is right");
            work();
            expect(result() == wanted, "the run after is right");
            rondo::release_cached();
            expect(alive.load() == blocks, "nothing is lost");
        }
        expect(2 * times > number, "most allocations that fail are exceptions");
    }
}

// Threads that are not there yet.
void no_memory_for_threads() {
    std::atomic<int> parts{0};
    const auto part = [&](int) { parts.fetch_add(1); };
    const auto work = [&] { rondo::parallel(2, [&](rondo::Crew& crew) { crew.phase(part); }); };
    bool reached = true;
    int times = 0;
    for (long number = 1; reached; ++number) times += ends(work, number, true, reached);
    parts = 0;
    work();
    expect(times > 0 && parts.load() == 2, "threads that could not be made are made later");
}

void cells_run(const Cell& cell) {
    const rondo::Kernels<float>& kernels = *rondo::choose_kernels<float>("");
    const Shape by_rows{{1, 5, 19, 7}, 16, 13}, by_panels{{1, 9, 68, 37}, 6, 5}, lanes{{1, 9, 68, 37}, 6, 5, true};
    for (const auto& [shape, threads] : {std::pair{by_rows, 2}, std::pair{by_panels, 1}, std::pair{lanes, 2}}) {
        Runs<float> runs(cell, shape, kernels, threads);
        const std::string name = cell.name + ", B = " + std::to_string(shape.B) + ", " + std::to_string(threads) +
                                 " threads" + (shape.restarts ? ", restarts" : "");
        each_allocation_fails(name + ", forward", [&] { runs.spoil(), runs.forward(); }, [&] { return runs.outputs(); });
        each_allocation_fails(name + ", backward", [&] { runs.spoil(), runs.backward(); },
                              [&] { return runs.gradients(); });
    }
}

void lanes_are_made() {
    const std::int64_t lengths[] = {3, 5, 0};
    const std::uint8_t cuts[15] = {0, 1, 0, 0, 0, 0, 0, 1};
    int rows = 0;
    each_allocation_fails("lanes", [&] { rows = 0, rows = rondo::make_lanes(3, 5, lengths, cuts, false)->rows; },
                          [&] { return Array{static_cast<double>(rows)}; });
}

// From the making of a stepper on; rows and weights enough for two threads.
void steppers_run(const Cell& cell) {
    const rondo::Kernels<float>& kernels = *rondo::choose_kernels<float>("");
    const int B = 16, units = 40;
    for (int threads : {1, 2}) {
        Runs<float> runs(cell, {{1, units, units, 0}, B, 1}, kernels, threads);
        std::vector<float> output(B * units);
        const auto work = [&] {
            std::fill(output.begin(), output.end(), NAN);
            rondo::Stepper<float> stepper(B, threads);
            stepper.add(runs.inference(), runs.parameters());
            stepper.finish(output.data());
            for (int t = 0; t < 3; ++t) stepper.step(runs.x().data());
        };
        each_allocation_fails(cell.name + ", stepper, " + std::to_string(threads) + " threads", work,
                              [&] { return Array(output.begin(), output.end()); });
    }
}

}  // namespace

int main() {
    rondo::testing::end_within(300);
    no_memory_for_threads();
    rondo::no_memory_left = [] { return fails(); };
    lanes_are_made();
    for (const Cell& cell : rondo::testing::cells()) {
        if (cell.name != "lstm_layer_norm") continue;
        cells_run(cell);
        steppers_run(cell);
    }
    expect(rondo::pool_state().in_use == 0, "all blocks are given back");
    std::printf("out of memory: %s\n", failures ? "FAILED" : "ok");
    return failures != 0;
}
