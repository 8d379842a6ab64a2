class Mine(:
    pass
