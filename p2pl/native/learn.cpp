// The learning phase of each device in turn: its parameters move to scratch memory, all its steps are done there, and
// as those of the next device come, they leave for where the new ones belong. (Or its outputs alone, see answers.hpp.)
// One step, t, over a batch of n samples:
//
//   first layer   sweep over the weights, a chunk of inputs at a time: update t - 1, then forward t
//                 (small batches by twos: update t - 2 and t - 1, then forward t and t + 1)
//   other layers  forward; loss; then from the last layer down: backward and update in one sweep
//
// Compiled once for each instruction set, in a namespace P2PL_SET of its own.
#include <stdlib.h>

#include "answers.hpp"

namespace {

// Units far from one would cost velocities digits, and at a rate of zero all: such rates take the rule for all cases.
Step step_of(const Job& job) {
    const bool momentum = job.momentum != 0, nesterov = job.nesterov != 0;
    const double unit = job.lr * job.momentum;
    const auto number = [](double value) { return static_cast<float>(value); };
    Step step{};
    step.rate = step.unit = 1;
    step.keep = number(momentum ? job.momentum : 1);
    step.plain = momentum && !nesterov && job.weight_decay == 0 && !job.drift && 1e-6 < unit && unit < 1e6;
    if (step.plain) {
        step.rate = number(job.lr), step.unit = number(unit);
        step.take = step.keep, step.through = 1 / step.keep;
        return step;
    }
    step.decay = number(job.weight_decay);
    step.take = momentum ? 1 : 0;
    step.direct = number(nesterov || !momentum ? job.lr : 0);
    step.through = number(nesterov ? job.lr * job.momentum : momentum ? job.lr : 0);
    return step;
}

constexpr int64_t FAR = 16 << 20;  // bytes

// One device at a time, in memory that serves all of them.
struct Device {
    const Job& job;
    const Step step;
    Layer* layers;
    float* near;     // (LANES, inputs of the widest layer) weights that leave
    const bool far;  // the models of all devices fit in no cache
    First first;
    Window windows[2];

    Device(const Job& job, Layer* layers, int64_t samples)
        : job(job), step(step_of(job)), layers(layers), far(4 * job.devices * job.parameters > FAR),
          first(job, step, layers[0], samples) {}

    void take(Arena& arena, int64_t samples, int64_t steps) {
        for (int64_t l = 0; l < job.layers; ++l) layers[l].take(arena, samples, l == 0, job.drift != nullptr);
        int64_t widest = 0;
        for (int64_t l = 0; l < job.layers; ++l) widest = larger(widest, layers[l].in);
        near = arena.take<float>(LANES * widest + LINE);
        for (Window& window : windows) first.take(arena, window, samples);
        first.take(arena, steps);
    }

    // Moves all parts of a row of parameters, in torch's order, to these places in the layers, and from there.
    void move(Passage way, float* Layer::*weight, float* Layer::*bias) {
        for (int64_t l = 0; (way.from || way.to) && l < job.layers; ++l) {
            Layer& layer = layers[l];
            move_weights(way, layer.*weight, near, layer.out, layer.in, layer.stride);
            way = way.after(layer.in * layer.out);
            if (!job.bias) continue;
            move_bias(way, layer.*bias, layer.out, layer.stride);
            way = way.after(layer.out);
        }
    }

    int64_t row(int64_t device) const { return job.rows[device] * job.parameters; }
    int64_t steps(int64_t device) const { return job.first[device + 1] - job.first[device]; }
    float unit(int64_t device) const { return steps(device) ? step.unit : 1; }

    // What one device has learned goes where it belongs, and another one takes its place; -1: none.
    void change(int64_t leaving, int64_t coming) {
        Passage x{nullptr, nullptr, 1, 1, far}, velocity = x;
        if (leaving >= 0) {
            x.to = job.new_x + row(leaving), velocity.to = job.new_velocity + row(leaving);
            velocity.leaving = 1 / unit(leaving);
        }
        if (coming >= 0) {
            x.from = job.x + row(coming), velocity.from = job.velocity ? job.velocity + row(coming) : nullptr;
            velocity.arriving = unit(coming);
        }
        move(x, &Layer::weight, &Layer::bias);
        move(velocity, &Layer::velocity, &Layer::bias_velocity);
        if (!job.velocity) stop();
    }

    // All velocities become zero.
    void stop() {
        for (int64_t l = 0; l < job.layers; ++l) {
            memset(layers[l].velocity, 0, 4 * layers[l].in * layers[l].stride);
            memset(layers[l].bias_velocity, 0, 4 * layers[l].stride);
        }
    }

    // An equal part of a device's drift for each of its steps.
    void bring_drift(int64_t device) {
        const float share = 1 / static_cast<float>(steps(device));
        move({job.drift + row(device), nullptr, share, 1, false}, &Layer::drift, &Layer::bias_drift);
    }

    // From z of the first layer to z of the last; its rows.
    const Layer& upwards(const Batch& batch) {
        const int64_t last = job.layers - 1, n = batch.n;
        layers[0].slope = batch.z;
        for (int64_t l = 1; l <= last; ++l) {
            activate(job.activation, layers[l - 1], layers[l - 1].slope, n, layers[l].held);
            forward(layers[l], n);
        }
        const Layer& top = layers[last];
        for (int64_t r = 0; r < n; ++r) {
            float* z = top.slope + r * top.stride;
            for (int64_t c = 0; c < top.vectors * LANES; c += LANES)
                store(z + c, top.scale * load(z + c) + top.bias_scale * load(top.bias + c));
        }
        return top;
    }

    // From z of the last layer to the loss's derivative by that of the first, with the steps of all but its weights.
    void downwards(const Batch& batch, const Layer& top) {
        const float share = step.rate / static_cast<float>(batch.n);
        const bool few = job.loss == CROSS_ENTROPY && job.classes && top.out <= LANES;
        for (int64_t r = 0; r < batch.n; r += few ? LANES : 1) {
            const int64_t* samples = batch.samples + r;
            float* z = top.slope + r * top.stride;
            if (few) loss_slopes(job, samples, at_most_lanes(batch.n - r), z, top.stride, top.out, share);
            else loss_slope(job, *samples, z, top.out, share);
        }
        for (int64_t l = job.layers - 1; l > 0; --l) {
            update_bias(layers[l], step, job.bias, layers[l].slope, batch.n);
            backward(layers[l], layers[l - 1], layers[l - 1].slope, step, batch.n);
        }
        update_bias(layers[0], step, job.bias, batch.z, batch.n);
    }

    void pass(const Batch& batch) { downwards(batch, upwards(batch)); }

    void learn(int64_t device) {
        const int64_t begin = job.first[device], last = job.first[device + 1];
        if (job.drift && last > begin) bring_drift(device);
        first.begin(begin, last);
        const Window* before = nullptr;
        int64_t t = begin, sweeps = 0;
        for (; t < last; ++sweeps) {
            Window& now = windows[sweeps % 2];
            first.take(now, t, last);
            const int64_t next = t + first.count(t, last);
            first.sweep(before, &now, t - begin, sweeps, first.range(next, last));
            pass({now.n, now.samples, now.z});
            if (now.then) pass(second(now, layers[0], first.products));
            before = &now, t = next;
        }
        if (before) first.sweep(before, nullptr, last - begin, sweeps, {});
        first.end_after(last - begin);
    }

    void learn_all() {
        for (int64_t i = 0; i < job.devices; ++i) change(i - 1, i), learn(i);
        change(job.devices - 1, -1);
    }

    // The outputs for all samples of the job's batches, which all devices share.
    void answer(int64_t device) {
        move({job.x + row(device), nullptr, 1, 1, false}, &Layer::weight, &Layer::bias);
        if (job.active && job.base != 0) first.common.begin(layers[0]);
        float* out = job.out + device * job.cuts[job.first[1]] * job.widths[job.layers];
        for (int64_t t = job.first[0]; t < job.first[1]; ++t) {
            Window& now = windows[0];
            if (job.active && !(first.sparse && wide(layers[0]))) {
                forward_listed(job, first, now, t);
            } else {
                first.take(now, t, t + 1);
                first.sweep(nullptr, &now, 0, 0, first.range(t + 1, job.first[1]));
            }
            const Layer& top = upwards({now.n, now.samples, now.z});
            for (int64_t r = 0; r < now.n; ++r, out += top.out) memcpy(out, top.slope + r * top.stride, 4 * top.out);
        }
    }
};

}  // namespace

namespace P2PL_SET {

// All devices of a job: their learning phases, or their outputs. Returns 0, or 1 if there is no memory for the scratch.
int learn(const Job& job) {
    int64_t samples = 0, steps = 0;
    for (int64_t i = 0; i < (job.out ? 1 : job.devices); ++i) {
        steps = larger(steps, job.first[i + 1] - job.first[i]);
        for (int64_t t = job.first[i]; t < job.first[i + 1]; ++t)
            samples = larger(samples, job.cuts[t + 1] - job.cuts[t]);
    }
    Layer* layers = static_cast<Layer*>(malloc(job.layers * sizeof(Layer)));
    if (!layers) return 1;
    for (int64_t l = 0; l < job.layers; ++l) layers[l] = Layer(job, l);
    Device device(job, layers, samples);
    Arena arena{nullptr};
    device.take(arena, samples, steps);
    const int64_t size = arena.used;
    char* memory = static_cast<char*>(aligned_alloc(64, size));
    if (memory) {
        memset(memory, 0, size);  // what pads rows to whole vectors is zero, and made so again for each device
        arena = {memory};
        device.take(arena, samples, steps);
        if (!job.out) device.learn_all();
        for (int64_t i = 0; job.out && i < job.devices; ++i) device.answer(i);
        end_streams();
        free(memory);
    }
    free(layers);
    return memory ? 0 : 1;
}

}  // namespace P2PL_SET
