// The NTPv4 header (RFC 5905 7.3) and the extension field format (RFC 7822), in network order.
//
//    0  leap 2 bits | version 3 bits | mode 3 bits
//    1  stratum
//    2  poll
//    3  precision             log2 s, signed
//    4  root delay            NTP short
//    8  root dispersion       NTP short
//   12  reference id
//   16  reference timestamp
//   24  origin timestamp
//   32  receive timestamp
//   40  transmit timestamp
//   48  extension fields: type u16, length u16 (header included, a multiple of 4), value

export const NTP_HEADER_BYTES: u32 = 48;

/** Largest UDP payload: the longest request that a jar of cookies has room for. It fits into 1,280 bytes of IPv6. */
export const NTP_MAX_BYTES: u32 = 1024;

/** Leap 0, version 4, mode 3 (client). */
export const NTP_CLIENT: u8 = 0x23;

export const NTP_MODE_SERVER: u32 = 4;
export const NTP_VERSION: u32 = 4;
export const NTP_LEAP_UNSYNCHRONISED: u32 = 3;

export const NTP_STRATUM: usize = 1;
export const NTP_PRECISION: usize = 3;
export const NTP_ROOT_DELAY: usize = 4;
export const NTP_ROOT_DISPERSION: usize = 8;
export const NTP_REFERENCE_ID: usize = 12;
export const NTP_ORIGIN: usize = 24;
export const NTP_RECEIVE: usize = 32;
export const NTP_TRANSMIT: usize = 40;

export const EXTENSION_HEADER_BYTES: u32 = 4;

/** Shortest extension field (RFC 7822 3). */
export const EXTENSION_MIN_BYTES: u32 = 16;
