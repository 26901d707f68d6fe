# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Real guests on an emulated host; see bed/README.md.
#   MODE   nested (the default: a hypervisor of our own, whose guests run by turns, then a Linux guest in a Linux guest),
#          npt or shadow (npt=0) on AMD; ept, ept-shadow (ept=0) or ept-nested (a hypervisor of our own) on Intel
#   KVM    vmmu (ours) or stock (Debian's)
#   PAIRS  runs of each in a comparison
#   V=1    show all of the console

MODE  ?= nested
KVM   ?= vmmu
PAIRS ?= 3

RUN_DEPS = deps-run $(if $(filter ept%,$(MODE)),deps-bochs)

.PHONY: run compare overhead policies deps-bochs check-bed
run: $(RUN_DEPS) ## boot a Linux guest in a guest of our KVM, let it work, and show what the MMU did (MODE=npt: a guest)
	+@$(PYTHON) -B -m bed.run --mode $(MODE) --kvm $(KVM) $(if $(filter 1,$(V)),--verbose)

compare: $(RUN_DEPS) ## run guests in our KVM and in Debian's by turns, and compare
	+@$(PYTHON) -B -m bed.compare --mode $(MODE) --pairs $(PAIRS)

overhead: $(RUN_DEPS) ## count the instructions and exits that shadow paging costs, ours and Debian's
	+@$(PYTHON) -B -m bed.overhead

policies: $(RUN_DEPS) ## count what each parameter of the shadow engine's policy is worth
	+@$(PYTHON) -B -m bed.policies

check-bed: ## test how the test bed judges what a host shows
	@$(PYTHON) -B -m tests.bed.test_session

deps-bochs: deps-run
	@mk/deps.sh packages $(DEPS_INTEL)
