// The order in which devices meet their samples: NumPy's numbers without its objects, which take much of a short round.
// Each device has a generator PCG64(SeedSequence(seed, spawn_key=(name, device, round))); each of its passes over the
// data is one `Generator.permutation` of its shard.
#include <string.h>

#include <utility>
#include <vector>

#include "job.hpp"

namespace {

// O'Neill's seed_seq, as numpy.random.SeedSequence has it: `words` of entropy, of which there are POOL or more.
struct Seeds {
    static constexpr int POOL = 4;
    uint32_t pool[POOL], hash = 0x43b0d7e5;

    uint32_t hashed(uint32_t value) {
        value ^= hash;
        hash *= 0x931e8875;
        value *= hash;
        return value ^ value >> 16;
    }

    void mix(uint32_t& into, uint32_t value) {
        into = 0xca01f9dd * into - 0x4973f715 * hashed(value);
        into ^= into >> 16;
    }

    explicit Seeds(const std::vector<uint32_t>& words) {
        for (int i = 0; i < POOL; ++i) pool[i] = hashed(words[i]);
        for (int from = 0; from < POOL; ++from)
            for (int to = 0; to < POOL; ++to)
                if (from != to) mix(pool[to], pool[from]);
        for (size_t i = POOL; i < words.size(); ++i)
            for (uint32_t& to : pool) mix(to, words[i]);
    }

    // The first eight words that it generates, two in one.
    void generate(uint64_t (&state)[4]) const {
        uint32_t now = 0x8b51f9dd;
        for (int i = 0; i < 8; ++i) {
            uint32_t value = pool[i % POOL] ^ now;
            now *= 0x58f38ded;
            value *= now;
            value ^= value >> 16;
            state[i / 2] = i % 2 ? state[i / 2] | uint64_t(value) << 32 : value;
        }
    }
};

// PCG XSL RR 128/64, whose numbers are taken by halves, the lower one first.
struct Generator {
    typedef unsigned __int128 Wide;
    Wide state = 0, step;
    uint64_t drawn = 0;
    bool half = false;

    explicit Generator(const Seeds& seeds) {
        uint64_t from[4];
        seeds.generate(from);
        step = (Wide(from[2]) << 64 | from[3]) << 1 | 1;
        advance();
        state += Wide(from[0]) << 64 | from[1];
        advance();
    }

    void advance() { state = state * (Wide(0x2360ed051fc65da4) << 64 | 0x4385df649fccf645) + step; }

    uint32_t next() {
        half = !half;
        if (!half) return drawn >> 32;
        advance();
        const uint64_t folded = uint64_t(state >> 64) ^ uint64_t(state);
        const unsigned turn = state >> 122;
        drawn = folded >> turn | folded << (-turn & 63);
        return drawn;
    }

    // Item i changes places with one of 0, ..., i. A number above i is drawn again: in a loop of one kind of step, for
    // nobody foresees which it is.
    void shuffle(int64_t* items, int64_t count) {
        for (int64_t i = count - 1; i > 0;) {
            const int64_t drawn = next() & (~0u >> __builtin_clz(uint32_t(i)));
            const bool fits = drawn <= i;
            std::swap(items[i], items[fits ? drawn : i]);
            i -= fits;
        }
    }
};

}  // namespace

void draw(const Orders& orders) {
    std::vector<uint32_t> words(orders.words, orders.words + orders.known);
    words.insert(words.end(), {0, uint32_t(orders.round)});
    std::vector<int64_t> pass;
    for (int64_t i = 0; i < orders.devices; ++i) {
        const int64_t device = orders.rows[i], size = orders.begins[device + 1] - orders.begins[device];
        const int64_t* shard = orders.shards + orders.begins[device];
        words[orders.known] = orders.names[i];
        Generator generator{Seeds(words)};
        for (int64_t met = orders.first[i], end = orders.first[i + 1]; met < end; met += size) {
            pass.assign(shard, shard + size);
            if (orders.batch < size) generator.shuffle(pass.data(), size);
            memcpy(orders.order + met, pass.data(), 8 * (end - met < size ? end - met : size));
        }
    }
}
