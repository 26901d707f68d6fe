# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Threads that do everything at once to one simulated VM, under the thread sanitizer, for RACE_SECONDS; then small scenes
# of two or three threads, step by step, in as many schedules as RACE_SCHEDULE_SECONDS give time for.

BUILD                 ?= build
RACE_SECONDS          ?= 20
RACE_SCHEDULE_SECONDS ?= 30

RACE_SOURCES := $(wildcard core/*/*.c machine/*.c) tests/race/race.c
RACE_CFLAGS   = -std=gnu11 -g -O1 -Wall -Wextra -Werror -DVMMU_DEBUG -Iinclude -Icore -Imachine -fsanitize=thread
RACE_OBJECTS  = $(RACE_SOURCES:%.c=$(BUILD)/race/%.o)

$(BUILD)/race/%.o: %.c
	@mkdir -p $(@D)
	@clang $(RACE_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/race/race: $(RACE_OBJECTS)
	@clang $(RACE_CFLAGS) $^ -lpthread -o $@

-include $(RACE_OBJECTS:.o=.d)

# --- Schedules: tests/race/schedule/ ------------------------------------------------------------

SCHEDULE_OWN     := $(wildcard tests/race/schedule/*.c)
# What gives memory and grace periods is a step of its own, not made of steps.
SCHEDULE_PLAIN   := machine/tables.c machine/rcu.c machine/thread.c machine/oracle.c $(SCHEDULE_OWN)
SCHEDULE_STEPPED := $(filter-out $(SCHEDULE_PLAIN),$(wildcard core/*/*.c machine/*.c))
SCHEDULE_CFLAGS   = -std=gnu11 -g -O2 -Wall -Wextra -Werror -DVMMU_DEBUG -Iinclude -Icore -Imachine \
	-DMACHINE_TABLES_MAX=384u -DMACHINE_LOW_TABLES=128u
SCHEDULE_OBJECTS  = $(patsubst %.c,$(BUILD)/race/schedule/%.o,$(SCHEDULE_STEPPED) $(SCHEDULE_PLAIN))
SCHEDULE_WRAPPED := malloc calloc realloc free sched_yield machine_table_alloc machine_table_alloc_low machine_table_free \
	machine_share_wait machine_rcu_read_unlock machine_rcu_call pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock \
	pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_rwlock_unlock oracle_store oracle_free machine_ram_destroy

$(SCHEDULE_STEPPED:%.c=$(BUILD)/race/schedule/%.o): SCHEDULE_CFLAGS += -fsanitize=thread
$(BUILD)/race/schedule/machine/%.o: SCHEDULE_CFLAGS += -Dmmap=scheduled_mmap -Dmunmap=scheduled_munmap
$(BUILD)/race/schedule/%.o: %.c
	@mkdir -p $(@D)
	@clang $(SCHEDULE_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/race/schedule/schedule: $(SCHEDULE_OBJECTS)
	@clang $^ $(SCHEDULE_WRAPPED:%=-Wl,--wrap=%) -o $@

-include $(SCHEDULE_OBJECTS:.o=.d)

.PHONY: check-race schedule
schedule: $(BUILD)/race/schedule/schedule ## build what runs scenes step by step; with -l it lists them

check-race: $(BUILD)/race/race $(BUILD)/race/schedule/schedule ## run threads against each other on a simulated machine
	@tests/race/check.sh $(BUILD)/race/race $(RACE_SECONDS) $(BUILD)/race/schedule/schedule $(RACE_SCHEDULE_SECONDS)

# --- Mutants: does each check notice what it is there to notice? ----------------------------------

.PHONY: mutants
mutants: ## take guarding lines of the core away, one at a time, and see a check fail; WORD= for some
	@tests/mutants/run -f $(BUILD)/mutants $(WORD)
