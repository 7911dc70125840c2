/**
 * Hashes cost a thirtieth: hundreds of users sign up in a run, none of whom has anything to lose.
 * What a real hash costs is tested in test/crypto/passwords.test.ts, without this.
 */

import { ARGON2_PARAMETERS } from '../../src/crypto/passwords.ts'

Object.assign(ARGON2_PARAMETERS, { memoryCost: 1024, timeCost: 1 })
