import { open, type Place, UnreadableValueError } from './envelope.ts'
import type { Keyring } from './keyring.ts'

/**
 * Opens a sealed value; null where it does not open, so that a page can say so of that one value and go on.
 */
export function openIfReadable(keyring: Keyring, envelope: string, place: Place): string | null {
  try {
    return open(keyring, envelope, place)
  } catch (error) {
    if (error instanceof UnreadableValueError) return null
    throw error
  }
}
