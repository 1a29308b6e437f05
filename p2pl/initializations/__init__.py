"""How the devices come by their first parameters. One function a way.

    @initialization
    def shared(draws):
        '''All devices draw from one seed ...'''
        return draws[:1].expand_as(draws)

`draws` is (K, P), each device's own independent draw of the model; `channel` (what devices say to one another is paid
for and may be lost) and `rng` are given where the signature asks for them. Returns (K, P).
"""
