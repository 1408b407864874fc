/* The service thread: see service.h. */
#include "server/base/service.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "server/base/thread.h"

struct service {
    struct loop *loop;
    size_t limit;
    pthread_t thread;
    pthread_mutex_t mutex;    /* guards what follows */
    pthread_cond_t wake, end; /* a task or the end has come; the thread has left */
    struct service_task *first, **last, *running;
    size_t waiting;
    bool ending, left;
};

bool service_is_stopped(void *task) {
    return atomic_load_explicit(&((struct service_task *)task)->stop, memory_order_relaxed);
}

static void deliver(struct loop_message *message) {
    struct service_task *task = (struct service_task *)message; /* its first member */
    task->finish(task);
}

/* The next task, or NULL once the service ends. */
static struct service_task *take(struct service *service) {
    pthread_mutex_lock(&service->mutex);
    service->running = NULL;
    while (service->first == NULL && !service->ending) {
        pthread_cond_wait(&service->wake, &service->mutex);
    }
    struct service_task *task = service->first;
    if (task != NULL) {
        service->first = task->next;
        if (service->first == NULL) {
            service->last = &service->first;
        }
        service->waiting--;
        service->running = task;
    }
    pthread_mutex_unlock(&service->mutex);
    return task;
}

static void serve(void *user) {
    struct service *service = user;
    for (struct service_task *task = take(service); task != NULL; task = take(service)) {
        if (!service_is_stopped(task)) {
            task->run(task);
        }
        loop_post(service->loop, &task->message);
    }
    pthread_mutex_lock(&service->mutex);
    service->left = true;
    pthread_cond_signal(&service->end);
    pthread_mutex_unlock(&service->mutex);
}

/* Whoever waits for the end waits by this clock, which no jump of the time of day makes longer. */
static void end_init(pthread_cond_t *end) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(end, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void service_free(struct service *service) {
    pthread_cond_destroy(&service->wake);
    pthread_cond_destroy(&service->end);
    pthread_mutex_destroy(&service->mutex);
    free(service);
}

struct service *service_create(struct loop *loop, size_t limit) {
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        return NULL;
    }
    service->loop = loop;
    service->limit = limit;
    service->last = &service->first;
    pthread_mutex_init(&service->mutex, NULL);
    pthread_cond_init(&service->wake, NULL);
    end_init(&service->end);
    if (!thread_start(&service->thread, serve, service)) {
        service_free(service);
        return NULL;
    }
    return service;
}

bool service_submit(struct service *service, struct service_task *task) {
    pthread_mutex_lock(&service->mutex);
    bool accepted = service->waiting < service->limit && !service->ending;
    if (accepted) {
        task->next = NULL;
        task->message.deliver = deliver;
        *service->last = task;
        service->last = &task->next;
        service->waiting++;
        pthread_cond_signal(&service->wake);
    }
    pthread_mutex_unlock(&service->mutex);
    return accepted;
}

size_t service_depth(struct service *service) {
    pthread_mutex_lock(&service->mutex);
    size_t depth = service->waiting + (service->running != NULL);
    pthread_mutex_unlock(&service->mutex);
    return depth;
}

bool service_destroy(struct service *service, uint64_t until) {
    const struct timespec when = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
    if (service == NULL) {
        return true;
    }
    pthread_mutex_lock(&service->mutex);
    service->ending = true;
    for (struct service_task *task = service->first; task != NULL; task = task->next) {
        atomic_store(&task->stop, true);
    }
    if (service->running != NULL) {
        atomic_store(&service->running->stop, true);
    }
    pthread_cond_signal(&service->wake);
    while (!service->left && pthread_cond_timedwait(&service->end, &service->mutex, &when) == 0) {
    }
    bool left = service->left;
    pthread_mutex_unlock(&service->mutex);
    if (left) {
        pthread_join(service->thread, NULL);
        service_free(service);
    }
    return left;
}
