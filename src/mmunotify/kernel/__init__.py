"""The running kernel: a KVM guest, KVM's notifier tracepoints, and what this machine permits."""

__all__: list[str] = []
