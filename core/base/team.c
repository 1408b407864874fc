/*
 * Team: see team.h. One generation counter signals new work, one counter of busy members signals completion. Both are
 * atomics; threads spin on them for a while and then wait under the mutex. Whoever changes them wakes sleepers only if
 * there are any.
 *
 * Rejected: pthread_barrier (always sleeps: 20 us and more each time); spinning for ever (takes the cores of other jobs
 * when the machine is oversubscribed).
 */
#include "core/base/team.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 4000, STACK_BYTES = 256 * 1024 };

/* Each on a cache line of its own: members poll one while others write the other. */
struct line {
    _Alignas(64) atomic_uint value;
};

struct member {
    struct team *team;
    pthread_t thread;
    int index;
    unsigned seen; /* the last generation that it has worked on */
};

struct team {
    struct line generation, busy;
    pthread_mutex_t mutex;
    pthread_cond_t begun, ended;
    atomic_int sleepers; /* members asleep, or about to be */
    atomic_bool caller_sleeps;
    int members;
    struct member **others; /* members 1 .. members-1 */
    void (*work)(void *user, int member, int members);
    void *user;
    bool leave;
};

static inline void spin_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static unsigned generation_await(struct team *team, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        unsigned now = atomic_load_explicit(&team->generation.value, memory_order_acquire);
        if (now != seen) {
            return now;
        }
        spin_pause();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleepers, 1);
    unsigned now;
    while ((now = atomic_load(&team->generation.value)) == seen) {
        pthread_cond_wait(&team->begun, &team->mutex);
    }
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->mutex);
    return now;
}

static void *member_main(void *argument) {
    struct member *member = argument;
    struct team *team = member->team;
    for (;;) {
        member->seen = generation_await(team, member->seen);
        bool leave = team->leave;
        if (!leave) {
            team->work(team->user, member->index, team->members);
        }
        if (atomic_fetch_sub(&team->busy.value, 1) == 1 && atomic_load(&team->caller_sleeps)) {
            pthread_mutex_lock(&team->mutex);
            pthread_cond_signal(&team->ended);
            pthread_mutex_unlock(&team->mutex);
        }
        if (leave) {
            return NULL;
        }
    }
}

static void members_wake(struct team *team) {
    atomic_store(&team->busy.value, (unsigned)(team->members - 1));
    atomic_fetch_add(&team->generation.value, 1);
    if (atomic_load(&team->sleepers) > 0) {
        pthread_mutex_lock(&team->mutex);
        pthread_cond_broadcast(&team->begun);
        pthread_mutex_unlock(&team->mutex);
    }
}

static void members_await(struct team *team) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&team->busy.value, memory_order_acquire) == 0) {
            return;
        }
        spin_pause();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_store(&team->caller_sleeps, true);
    while (atomic_load(&team->busy.value) > 0) {
        pthread_cond_wait(&team->ended, &team->mutex);
    }
    atomic_store(&team->caller_sleeps, false);
    pthread_mutex_unlock(&team->mutex);
}

/* All members except the caller exit. */
static void members_dismiss(struct team *team) {
    team->leave = true;
    members_wake(team);
    for (int i = 1; i < team->members; i++) {
        pthread_join(team->others[i - 1]->thread, NULL);
        free(team->others[i - 1]);
    }
    free(team->others);
    team->others = NULL;
    team->leave = false;
    team->members = 1;
    atomic_store(&team->busy.value, 0);
}

struct team *team_create(void) {
    struct team *team = aligned_alloc(64, (sizeof *team + 63) / 64 * 64);
    if (!team) {
        return NULL;
    }
    *team = (struct team){.members = 1};
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->begun, NULL);
    pthread_cond_init(&team->ended, NULL);
    return team;
}

void team_destroy(struct team *team) {
    if (!team) {
        return;
    }
    members_dismiss(team);
    pthread_mutex_destroy(&team->mutex);
    pthread_cond_destroy(&team->begun);
    pthread_cond_destroy(&team->ended);
    free(team);
}

int team_resize(struct team *team, int members) {
    if (members < 1) {
        members = 1;
    }
    if (members == team->members) {
        return members;
    }
    members_dismiss(team);
    if (members == 1) {
        return 1;
    }
    team->others = calloc((size_t)members - 1, sizeof *team->others);
    if (!team->others) {
        return 1;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (team->members < members) {
        struct member *member = malloc(sizeof *member);
        if (!member) {
            break;
        }
        *member = (struct member){.team = team, .index = team->members, .seen = atomic_load(&team->generation.value)};
        if (pthread_create(&member->thread, &attributes, member_main, member) != 0) {
            free(member);
            break;
        }
        team->others[team->members++ - 1] = member;
    }
    pthread_attr_destroy(&attributes);
    return team->members;
}

int team_members(const struct team *team) {
    return team->members;
}

void team_run(struct team *team, void (*work)(void *user, int member, int members), void *user) {
    if (team->members == 1) {
        work(user, 0, 1);
        return;
    }
    team->work = work;
    team->user = user;
    members_wake(team);
    work(user, 0, team->members);
    members_await(team);
}

void team_share(int count, int member, int members, int *from, int *to) {
    *from = (int)((long long)count * member / members);
    *to = (int)((long long)count * (member + 1) / members);
}
