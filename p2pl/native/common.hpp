// Inputs of which most are one number b that is not zero, as in shifted images: x = b + a, with a sparse. Then all rows
// of weights share a part of their steps, which is kept aside, (q, p), so that the others remain sparse:
//
//   w_k = w'_k + q,  v_k = v'_k + p     the gradient by w'_k is sum_n a_nk d_n, and by q, for each k, b sum_n d_n
//   z_n = sum_k a_nk w'_k + q sum_k a_nk + b (s + K q),   s = sum_k w'_k, of gradient sum_n (sum_k a_nk) d_n
//
// q and s with their velocities take the steps that a bias takes. K inputs, d_n the derivative by z_n.
#pragma once
#include "network.hpp"

namespace {

float sum_of(const float* x, const float* end) {
    Vector total = {};
    for (; x + LANES <= end; x += LANES) total += load(x);
    float sum = 0;
    for (; x < end; ++x) sum += *x;
    for (int i = 0; i < LANES; ++i) sum += total[i];
    return sum;
}

struct Common {
    float *part, *speed, *sum, *sum_speed;  // (stride) q, p, s and the velocity of s

    void take(Arena& arena, int64_t stride) {
        part = arena.take<float>(stride), speed = arena.take<float>(stride);
        sum = arena.take<float>(stride), sum_speed = arena.take<float>(stride);
    }

    void begin(const Layer& layer) const {
        memset(part, 0, 4 * layer.stride), memset(speed, 0, 4 * layer.stride);
        add_up(layer, layer.weight, sum), add_up(layer, layer.velocity, sum_speed);
    }

    static void add_up(const Layer& layer, const float* rows, float* total) {
        memset(total, 0, 4 * layer.stride);
        for (int64_t k = 0; k < layer.in; ++k, rows += layer.stride)
            for (int64_t o = 0; o < layer.vectors * LANES; o += LANES)
                store(total + o, load(total + o) + load(rows + o));
    }

    // What z begins with; inputs: (n) the sum of each sample's a.
    void forward(const Layer& layer, float base, float* z, int64_t n, const float* inputs) const {
        const float all = static_cast<float>(layer.in);
        for (int64_t o = 0; o < layer.vectors * LANES; o += LANES) {
            const Vector moved = load(part + o), shared = base * (load(sum + o) + all * moved);
            for (int64_t r = 0; r < n; ++r) store(z + r * layer.stride + o, shared + inputs[r] * moved);
        }
    }

    void update(const Layer& layer, const Step& step, float base, const float* delta, int64_t n,
                const float* inputs) const {
        for (int64_t o = 0; o < layer.vectors * LANES; o += LANES) {
            Vector plain = {}, weighted = {};
            for (int64_t r = 0; r < n; ++r) {
                const Vector d = load(delta + r * layer.stride + o);
                plain += d, weighted += inputs[r] * d;
            }
            descend(step, base * plain, part + o, speed + o, nullptr);
            descend(step, weighted, sum + o, sum_speed + o, nullptr);
        }
    }

    void give_back(const Layer& layer) const {
        for (int64_t k = 0; k < layer.in; ++k)
            for (int64_t o = 0; o < layer.vectors * LANES; o += LANES) {
                float *w = layer.weight + k * layer.stride + o, *v = layer.velocity + k * layer.stride + o;
                store(w, load(w) + load(part + o));
                store(v, load(v) + load(speed + o));
            }
    }
};

}  // namespace
