# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Our KVM in an emulated host: KVM's own selftests, and how the modules load and what they show.
# ONLY='*dirty*' runs only tests whose name fits.

ONLY ?= *

.PHONY: check-kvm check-shadow check-intel check-kvm-stock check-shadow-stock check-intel-stock

check-kvm: kvm selftests ## test our KVM on an emulated AMD processor
	@$(PYTHON) -B -m tests.kvm.check --only '$(ONLY)'

check-shadow: kvm selftests ## test our KVM on an emulated AMD processor, without nested paging
	@$(PYTHON) -B -m tests.kvm.check_shadow --only '$(ONLY)'

check-intel: kvm selftests ## test our KVM on an emulated Intel processor
	@$(PYTHON) -B -m tests.intel.check --only '$(ONLY)'

# What the distribution's own KVM makes of the same tests is recorded beside the lists; with ONLY, of those alone.
check-kvm-stock: selftests
	@$(PYTHON) -B -m tests.kvm.check --record --only '$(ONLY)'

check-shadow-stock: selftests
	@$(PYTHON) -B -m tests.kvm.check_shadow --record --only '$(ONLY)'

check-intel-stock: selftests
	@$(PYTHON) -B -m tests.intel.check --record --only '$(ONLY)'
