import { open, type Place, UnreadableValueError } from './envelope.ts'
import type { Keyring } from './keyring.ts'

/**
 * Decrypts a value; returns null if it does not decrypt, so that a page can report that one value and show
 * the others.
 */
export function openIfReadable(keyring: Keyring, envelope: string, place: Place): string | null {
  try {
    return open(keyring, envelope, place)
  } catch (error) {
    if (error instanceof UnreadableValueError) return null
    throw error
  }
}
