"""The mutants of every driver, one file each."""

from tests.drivers.mutant import Mutants
from tests.drivers.mutants.gru import GRU
from tests.drivers.mutants.hold_off import COUNTER_SEQUENCE, RWSEM
from tests.drivers.mutants.iommu_sva import IOMMU_SVA
from tests.drivers.mutants.kvm import KVM
from tests.drivers.mutants.kvm_2_6_27 import KVM_2_6_27
from tests.drivers.mutants.kvm_memslots import KVM_MEMSLOTS, KVM_PFNCACHE
from tests.drivers.mutants.odp import ODP
from tests.drivers.mutants.odp_rwsem import ODP_RWSEM
from tests.drivers.mutants.svm import SVM
from tests.drivers.mutants.userptr import USERPTR
from tests.drivers.mutants.xpmem import XPMEM

__all__ = ["TABLES"]

TABLES: dict[str, Mutants] = {
    "kvm": KVM,
    "kvm_memslots": KVM_MEMSLOTS,
    "kvm_pfncache": KVM_PFNCACHE,
    "kvm_2_6_27": KVM_2_6_27,
    "gru": GRU,
    "xpmem": XPMEM,
    "odp_rwsem": ODP_RWSEM,
    "odp": ODP,
    "userptr": USERPTR,
    "svm": SVM,
    "iommu_sva": IOMMU_SVA,
    "counter_sequence": COUNTER_SEQUENCE,
    "rwsem": RWSEM,
}
