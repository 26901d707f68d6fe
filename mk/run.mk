# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Real guests on an emulated host; see bed/README.md.
#   MODE   npt, shadow (npt=0) or nested (a guest in a guest) on AMD; ept, ept-shadow (ept=0) or ept-nested (a hypervisor
#          of our own, whose guests run by turns) on Intel
#   KVM    vmmu (ours) or stock (Debian's)
#   PAIRS  runs of each in a comparison
#   V=1    show all of the console

MODE  ?= npt
KVM   ?= vmmu
PAIRS ?= 3

RUN_DEPS = deps-run $(if $(filter ept%,$(MODE)),deps-bochs)

.PHONY: run compare deps-bochs
run: $(RUN_DEPS) ## boot a Linux guest in our KVM, let it work, and show what its MMU did
	+@$(PYTHON) -B -m bed.run --mode $(MODE) --kvm $(KVM) $(if $(filter 1,$(V)),--verbose)

compare: $(RUN_DEPS) ## run guests in our KVM and in Debian's by turns, and compare
	+@$(PYTHON) -B -m bed.compare --mode $(MODE) --pairs $(PAIRS)

deps-bochs: deps-run
	@mk/deps.sh packages $(DEPS_INTEL)
