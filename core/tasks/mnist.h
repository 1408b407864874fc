/* What the two MNIST tasks share: images and labels, in core/tasks/mnist.c. */
#ifndef MODPROP_CORE_TASKS_MNIST_H
#define MODPROP_CORE_TASKS_MNIST_H

#include "core/tasks/task.h"

enum { SIDE = 28, PIXELS = SIDE * SIDE, DIGITS = 10 };

/* Cross-entropy over the digits at the last of `steps` steps. False where the images are not loaded. */
bool mnist_shape(const struct task_config *config, int inputs, int steps, struct task_shape *shape, char error[256]);
void mnist_trial(const struct task *task, struct trial_id id, struct trial *trial);
/* `width` pixels from pixel number `first` of the image on, scaled to 0..1. */
void mnist_pixels(const struct task *task, const struct trial *trial, int first, int width, float *x);

#endif
