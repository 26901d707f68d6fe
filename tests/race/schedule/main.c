/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * schedule [-s SECONDS] [-p PREEMPTIONS] [-n SCHEDULES] [-r SEED] [-j JOBS] [-l] [SCENE [SCHEDULE]]
 *
 * All scenes, or those whose name begins so; with a schedule, that one alone. -l: only their names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../../machine/thread.h"
#include "schedule.h"

#define SCENES_MAX	512
#define JOBS_MAX	16

/* Of all processes; shared memory. */
static struct {
	unsigned int next;		/* scene to be taken. Atomic */
	struct outcome outcome[SCENES_MAX];
	bool passed[SCENES_MAX];
} *all;

static const struct scene *chosen[SCENES_MAX];
static unsigned int chosen_count;

static void on_bug(const char *what) { schedule_fail("%s", what); }

static void *shared(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

static void report_failure(const char *program, const struct scene *scene, int status)
{
	char *text = shared(1 << 16);

	if (WIFSIGNALED(status) && !run->message[0])
		snprintf(run->message, sizeof(run->message), "ended by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	schedule_print(text, 1 << 16, run);
	printf("%s: FAILED: %s\n  again: %s '%s' '%s'\n", scene->name, run->message, program, scene->name, text);
	munmap(text, 1 << 16);
}

static void report(const struct scene *scene, const struct outcome *out)
{
	printf("%s: %llu schedules, ", scene->name, (unsigned long long)out->schedules);
	if (out->complete >= 0)
		printf("all with up to %d preemptions among them, ", out->complete);
	printf("%llu at random\n", (unsigned long long)out->random);
}

/* One scene in a process of its own: there is one VM in each. Return: did all go well? */
static bool run_scene(const char *program, const struct scene *scene, const char *text, const struct budget *budget,
		      struct outcome *out)
{
	int status;
	pid_t child;

	run->message[0] = 0;
	run->taken_turns = 0;
	child = fork();
	if (!child) {
		memory_init();
		schedule_init();
		scene->prepare();
		machine_on_bug = on_bug;
		if (text)
			replay(scene, text);
		else
			explore(scene, budget, out);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		abort();
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	report_failure(program, scene, status);
	return false;
}

static void work(const char *program, const struct budget *budget)
{
	unsigned int n;

	run = shared(sizeof(*run));
	while ((n = __atomic_fetch_add(&all->next, 1, __ATOMIC_RELAXED)) < chosen_count) {
		all->passed[n] = run_scene(program, chosen[n], NULL, budget, &all->outcome[n]);
		if (all->passed[n])
			report(chosen[n], &all->outcome[n]);
	}
}

static void choose_scenes(const char *name)
{
	const struct scene *scene;

	for (unsigned int n = 0; (scene = scene_at(n)) && chosen_count < SCENES_MAX; n++)
		if (!name || !strncmp(scene->name, name, strlen(name)))
			chosen[chosen_count++] = scene;
	/* A name that is one scene's means that one. */
	for (unsigned int n = 0; name && n < chosen_count; n++)
		if (!strcmp(chosen[n]->name, name)) {
			chosen[0] = chosen[n];
			chosen_count = 1;
		}
}

static int sum_up(void)
{
	uint64_t schedules = 0;
	unsigned int passed = 0;

	for (unsigned int n = 0; n < chosen_count; n++) {
		passed += all->passed[n];
		schedules += all->outcome[n].schedules;
	}
	printf("race: %llu schedules, %u scenes\n", (unsigned long long)schedules, chosen_count);
	printf("%u passed, %u failed, 0 skipped\n", passed, chosen_count - passed);
	return passed < chosen_count || !chosen_count;
}

static int run_again(const char *program, const char *text)
{
	if (chosen_count != 1)
		return 2;
	run = shared(sizeof(*run));
	if (!run_scene(program, chosen[0], text, NULL, NULL))
		return 1;
	printf("%s: passed\n", chosen[0]->name);
	return 0;
}

int main(int argc, char **argv)
{
	struct budget budget = { .seconds = 60, .preemptions = 3, .seed = 1 };
	int jobs = 1, option;
	bool list = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((option = getopt(argc, argv, "s:p:n:r:j:l")) != -1)
		switch (option) {
		case 's': budget.seconds = atof(optarg); break;
		case 'p': budget.preemptions = (unsigned int)atoi(optarg); break;
		case 'n': budget.schedules = strtoull(optarg, NULL, 0); break;
		case 'r': budget.seed = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'j': jobs = atoi(optarg); break;
		case 'l': list = true; break;
		default: return 2;
		}
	choose_scenes(argv[optind]);
	for (unsigned int n = 0; list && n < chosen_count; n++)
		puts(chosen[n]->name);
	if (list)
		return 0;
	if (argv[optind] && argv[optind + 1])
		return run_again(argv[0], argv[optind + 1]);
	all = shared(sizeof(*all));
	jobs = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
	/* Time is everybody's: with fewer scenes than jobs, each has all of it. */
	if (chosen_count > (unsigned int)jobs)
		budget.seconds = budget.seconds * jobs / chosen_count;
	for (int job = 0; job < jobs; job++)
		if (!fork()) {
			work(argv[0], &budget);
			exit(0);
		}
	while (wait(NULL) > 0)
		;
	return sum_up();
}
