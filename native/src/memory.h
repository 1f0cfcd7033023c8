// Memory that is used again: fresh pages cost up to a fifth of a training step.

#pragma once

#include <cstddef>
#include <initializer_list>

namespace rondo {

// A block of at least the size asked for, aligned to 64 bytes, not initialised. Given back when destroyed.
// Throws std::bad_alloc. Blocks may be given back by another thread than took them.
class Memory {
public:
    Memory() = default;
    explicit Memory(std::size_t bytes);
    ~Memory();
    Memory(Memory&& other) noexcept;
    Memory& operator=(Memory&& other) noexcept;
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    void* data() const { return data_; }
    std::size_t size() const { return size_; }
    template <class T>
    T* as() const {
        return static_cast<T*>(data_);
    }

private:
    void* data_ = nullptr;
    std::size_t size_ = 0;
};

// a * b * ... in bytes of T; throws std::bad_alloc where the product does not fit.
std::size_t checked_bytes(std::size_t element, std::initializer_list<std::ptrdiff_t> sizes);

struct PoolState {
    std::size_t in_use, cached, peak;  // bytes
};
PoolState pool_state();
// Gives cached blocks back to the system.
void release_cached();

// For the native tests, nullptr otherwise: asked whenever the system is about to be asked for a block, on any thread;
// true: there is none.
extern bool (*no_memory_left)();

}  // namespace rondo
