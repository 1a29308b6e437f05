// One exchange of models:  out[k] = own[k] now[k] + sum over links k <- j of weight[kj] then[j].
//
// A tile of one row's sum stays in registers while its terms are added. Columns are taken in pieces, all rows for one
// piece after another, so that what several receivers hear is read from far memory once. Each packet of a message, a
// group of columns, may have weights of its own.
//
// Compiled once for each instruction set, in a namespace P2PL_SET of its own.
#include "job.hpp"
#include "vectors.hpp"
#ifdef __AVX2__
#include "far.hpp"
#endif

namespace {

// TILE vectors of one row: its own, then each link's.
template <int TILE>
INLINE void sum_tile(const Exchange& exchange, int64_t row, int64_t packet, int64_t column) {
    const int64_t width = exchange.columns, packets = exchange.packets;
    const float* own = exchange.now + row * width + column;
    Vector sum[TILE];
    UNROLL for (int j = 0; j < TILE; ++j) sum[j] = exchange.own[row * packets + packet] * load(own + j * LANES);
    for (int64_t link = exchange.first[row]; link < exchange.first[row + 1]; ++link) {
        const float weight = exchange.weight[link * packets + packet];
        const float* heard = exchange.then + exchange.sender[link] * width + column;
        UNROLL for (int j = 0; j < TILE; ++j) sum[j] += weight * load(heard + j * LANES);
    }
    float* out = exchange.out + row * width + column;
    UNROLL for (int j = 0; j < TILE; ++j) store(out + j * LANES, sum[j]);
}

// A last column that fills no vector.
void sum_one(const Exchange& exchange, int64_t row, int64_t packet, int64_t column) {
    const int64_t width = exchange.columns, packets = exchange.packets;
    float sum = exchange.own[row * packets + packet] * exchange.now[row * width + column];
    for (int64_t link = exchange.first[row]; link < exchange.first[row + 1]; ++link)
        sum += exchange.weight[link * packets + packet] * exchange.then[exchange.sender[link] * width + column];
    exchange.out[row * width + column] = sum;
}

constexpr int64_t NEAR = 2048;  // columns: longer pieces the processor foresees itself

// The same columns of the next piece: asked for while this one is computed.
INLINE void expect(const Exchange& exchange, int64_t row, int64_t begin, int64_t end) {
    for (int64_t c = end; c < 2 * end - begin && c < exchange.columns; c += LINE) {
        __builtin_prefetch(exchange.then + row * exchange.columns + c, 0, 2);
        __builtin_prefetch(exchange.out + row * exchange.columns + c, 1, 2);
    }
}

INLINE void sum_columns(const Exchange& exchange, int64_t row, int64_t packet, int64_t c, int64_t end) {
    for (; c + 8 * LANES <= end; c += 8 * LANES) sum_tile<8>(exchange, row, packet, c);
    for (; c + LANES <= end; c += LANES) sum_tile<1>(exchange, row, packet, c);
    for (; c < end; ++c) sum_one(exchange, row, packet, c);
}

void mix_packets(const Exchange& exchange) {
    for (int64_t packet = 0; packet < exchange.packets; ++packet) {
        const int64_t start = packet * exchange.packet, last = start + exchange.packet;
        const int64_t stop = last < exchange.columns ? last : exchange.columns;
        for (int64_t begin = start, end; begin < stop; begin = end) {
            end = begin + exchange.piece < stop ? begin + exchange.piece : stop;
            for (int64_t row = 0; row < exchange.devices; ++row) {
                if (end - begin <= NEAR) expect(exchange, row, begin, end);
                sum_columns(exchange, row, packet, begin, end);
            }
        }
    }
}

#ifdef __AVX2__
constexpr int64_t FAR_FROM = 1 << 21;  // floats: what is less stays in a cache until it is used
constexpr int64_t ROOM = 1 << 15;      // floats of all messages that a cache holds beside what comes and goes

template <int TILE> bool mixed_far(const Exchange& exchange) {
    const Far<TILE> far(exchange);
    if (!far.near) return false;
    far.mix();
    for (int64_t row = 0; row < exchange.devices; ++row) {
        sum_columns(exchange, row, 0, 0, far.begin(row));
        sum_columns(exchange, row, 0, far.end(row), exchange.columns);
    }
    return true;
}

// Large models, by far.hpp; false for others, or if there is no memory for it.
bool mixed_far(const Exchange& exchange) {
    constexpr int wide = 8, slim = 4;
    if (exchange.packets > 1 || exchange.columns < wide * LANES) return false;
    if (exchange.devices * exchange.columns < FAR_FROM) return false;
    return exchange.devices * wide * LANES <= ROOM ? mixed_far<wide>(exchange) : mixed_far<slim>(exchange);
}
#else
bool mixed_far(const Exchange&) { return false; }
#endif

}  // namespace

namespace P2PL_SET {

void mix(const Exchange& exchange) {
    if (!mixed_far(exchange)) mix_packets(exchange);
}

}  // namespace P2PL_SET
