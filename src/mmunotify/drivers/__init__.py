"""Drivers: secondary MMUs as worked examples, one file each."""

from mmunotify.drivers.gru import Gru
from mmunotify.drivers.iommu_sva import IommuSva
from mmunotify.drivers.kvm import Kvm
from mmunotify.drivers.kvm_2_6_27 import Kvm2627
from mmunotify.drivers.kvm_memslots import KvmMemslots
from mmunotify.drivers.kvm_pfncache import KvmPfncache
from mmunotify.drivers.odp import Odp
from mmunotify.drivers.odp_rwsem import OdpRwsem
from mmunotify.drivers.svm import Svm
from mmunotify.drivers.userptr import Userptr
from mmunotify.drivers.xpmem import Xpmem

__all__ = [
    "Gru",
    "IommuSva",
    "Kvm",
    "Kvm2627",
    "KvmMemslots",
    "KvmPfncache",
    "Odp",
    "OdpRwsem",
    "Svm",
    "Userptr",
    "Xpmem",
]
