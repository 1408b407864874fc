/* core/tasks/evidence.c. job->task: cues, cue_duration, cue_active, delay, cue_probability, active_rate,
 * background_rate. */
#define HAS_TASK 1

bool evidence_side(__global const struct job *job, struct stream stream, bool favoured, int cue) {
    return (random_uniform(stream, 2 + (ulong)cue) < job->task[4]) == favoured;
}

struct stream evidence_labels(__global const struct job *job, struct id id) {
    return stream_make(job->seed, id.phase == PHASE_TRAINING ? RANDOM_TRAINING_LABEL : RANDOM_EVALUATION_LABEL,
                       id.iteration, id.trial);
}

void task_draw(__global const struct job *job, struct id id, struct drawn *drawn) {
    struct stream stream = evidence_labels(job, id);
    int cues = (int)job->task[0], right = 0;
    bool favoured = random_bits(stream, 0) & 1;
    for (int i = 0; i < cues; i++) {
        right += evidence_side(job, stream, favoured, i);
    }
    drawn->bits = favoured;
    drawn->label = 2 * right == cues ? favoured : 2 * right > cues;
}

void task_inputs(__global const struct job *job, __global const float *data, struct id id, struct drawn drawn, int t,
                 __global float *x) {
    struct stream stream = stream_make(job->seed,
                                       id.phase == PHASE_TRAINING ? RANDOM_TRAINING_NOISE : RANDOM_EVALUATION_NOISE,
                                       id.iteration, id.trial);
    int cues = (int)job->task[0], duration = (int)job->task[1], cue = t / duration;
    double rate[4] = {0, 0, job->task[6], 0};
    if (cue < cues && t % duration < (int)job->task[2]) {
        rate[evidence_side(job, evidence_labels(job, id), drawn.bits & 1, cue)] = job->task[5];
    }
    if (t >= cues * duration + (int)job->task[3]) {
        rate[3] = job->task[5];
    }
    for (int i = 0; i < INPUTS; i++) {
        double chance = rate[i / 10] * 1e-3;
        bool spike = chance > 0 && random_bits(stream, (ulong)t * INPUTS + i) * 0x1p-32 < chance;
        x[i] = spike ? 1.0f : 0.0f;
    }
}

float task_target(__global const struct job *job, __global const float *data, struct drawn drawn, int t,
                  int *class_index, __global float *values) {
    *class_index = drawn.label;
    return 1.0f;
}
