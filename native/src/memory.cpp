#include "memory.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace rondo {

bool (*no_memory_left)() = nullptr;

namespace {

constexpr std::size_t PAGE = 4096, HUGE_PAGE = std::size_t{2} << 20;

struct Cached {
    void* data;
    std::uint64_t since;  // counts what was given back
};

struct Pool {
    std::mutex mutex;
    std::multimap<std::size_t, Cached> free;  // by size
    std::size_t in_use = 0, cached = 0, peak = 0;
    std::uint64_t given_back = 0;
};

// Never destroyed: tensors may outlive everything at the interpreter's end.
Pool& pool() {
    static Pool* instance = new Pool;
    return *instance;
}

// Sizes are rounded up by at most an eighth, so that lengths that vary find a block again.
std::size_t rounded(std::size_t bytes) {
    std::size_t step = PAGE;
    while (step * 16 < bytes) step *= 2;
    if (bytes > std::numeric_limits<std::size_t>::max() - step) throw std::bad_alloc();
    return std::max<std::size_t>((bytes + step - 1) / step * step, PAGE);
}

void* fresh(std::size_t bytes) {
    if (no_memory_left && no_memory_left()) return nullptr;
    const std::size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    void* data = nullptr;
#if defined(_WIN32)
    data = _aligned_malloc(bytes, alignment);
#else
    if (posix_memalign(&data, alignment, bytes) != 0) data = nullptr;
#endif
#if defined(__linux__)
    if (data && bytes >= HUGE_PAGE) madvise(data, bytes, MADV_HUGEPAGE);
#endif
    return data;
}

void to_system(void* data) {
#if defined(_WIN32)
    _aligned_free(data);
#else
    std::free(data);
#endif
}

}  // namespace

std::size_t checked_bytes(std::size_t element, std::initializer_list<std::ptrdiff_t> sizes) {
    std::size_t total = element;
    for (std::ptrdiff_t size : sizes) {
        if (size < 0) throw std::bad_alloc();
        if (size != 0 && total > (std::numeric_limits<std::size_t>::max() >> 1) / static_cast<std::size_t>(size)) {
            throw std::bad_alloc();
        }
        total *= static_cast<std::size_t>(size);
    }
    return total;
}

Memory::Memory(std::size_t bytes) : size_(rounded(bytes)) {
    Pool& shared = pool();
    {
        const std::lock_guard lock(shared.mutex);
        auto found = shared.free.lower_bound(size_);
        if (found != shared.free.end() && found->first <= size_ + size_ / 4) {
            size_ = found->first;
            data_ = found->second.data;
            shared.free.erase(found);
            shared.cached -= size_;
        }
        shared.in_use += size_;
        shared.peak = std::max(shared.peak, shared.in_use);
    }
    if (!data_) data_ = fresh(size_);
    if (!data_) {
        release_cached();
        data_ = fresh(size_);
    }
    if (!data_) {
        const std::lock_guard lock(shared.mutex);
        shared.in_use -= size_;
        throw std::bad_alloc();
    }
}

// What lies unused is at most what was in use at once, so a program that is done with long sequences does not keep
// their memory twice. What has lain longest goes first: other sizes may be wanted now than were at the beginning.
Memory::~Memory() {
    if (!data_) return;
    Pool& shared = pool();
    const std::lock_guard lock(shared.mutex);
    shared.in_use -= size_;
    try {
        shared.free.emplace(size_, Cached{data_, shared.given_back++});
    } catch (const std::bad_alloc&) {  // no memory to remember it by
        to_system(data_);
        return;
    }
    shared.cached += size_;
    while (shared.cached > shared.peak) {
        const auto oldest = std::min_element(shared.free.begin(), shared.free.end(), [](const auto& a, const auto& b) {
            return a.second.since < b.second.since;
        });
        shared.cached -= oldest->first;
        to_system(oldest->second.data);
        shared.free.erase(oldest);
    }
}

Memory::Memory(Memory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

PoolState pool_state() {
    Pool& shared = pool();
    const std::lock_guard lock(shared.mutex);
    return {shared.in_use, shared.cached, shared.peak};
}

void release_cached() {
    Pool& shared = pool();
    const std::lock_guard lock(shared.mutex);
    for (auto& [size, block] : shared.free) to_system(block.data);
    shared.free.clear();
    shared.cached = 0;
    shared.peak = shared.in_use;
}

}  // namespace rondo
