"""The policy workbench: what a change of the policy does, known before it ships.

Everything here works on policy files and pure values. Above the policy and engine packages, below the commands.
"""
