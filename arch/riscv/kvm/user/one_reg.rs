// SPDX-License-Identifier: GPL-2.0

//! Registers of a vCPU, one at a time: `KVM_GET_ONE_REG`, `KVM_SET_ONE_REG`, `KVM_GET_REG_LIST`.
//!
//! The vCPU is not loaded during these ioctls, so the guest's state is in memory.

use crate::{
    abi::{
        envcfg,
        one_reg::{
            AiaCsr,
            ConfigReg,
            CoreReg,
            CsrReg,
            ExtReg,
            FpReg,
            FwftReg,
            GeneralCsr,
            IdError,
            IsaExtId,
            Numbered,
            Reg,
            RegNum,
            RegType,
            SbiExtId,
            SbiStateReg,
            Size,
            SmstateenCsr,
            StaReg,
            TimerReg,
            VectorCsr,
            VectorReg,
            ZicfissCsr,
            MODE_S,
            MODE_U,
            TIMER_OFF,
            TIMER_ON, //
        },
        warl, //
    },
    hart::{
        csr::{
            hvip_to_vsip,
            vsip_to_hvip,
            VsInterrupt, //
        },
        features,
        guest_config, //
    },
    switch::{
        fp::FpFormat,
        regs::Regs,
        vector, //
    },
    vcpu::{
        self,
        aia::{
            self,
            AiaCsrs, //
        },
        csrs::Csrs,
        isa,
        sbi_ext,
        sta::StealTime,
        timer, //
    },
    vm::SATP_SUPPORT,
    Riscv, //
};
use kernel::{
    bindings,
    kvm::LockedVcpu,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

/// Handles `KVM_GET_ONE_REG`. `value` is where user space wants the value.
pub(crate) fn get(vcpu: &LockedVcpu<'_, Riscv>, id: u64, value: UserPtr) -> Result {
    let reg = decode(vcpu, id)?;
    if let Reg::Vector(VectorReg::V { num, size }) = reg {
        let mut writer = UserSlice::new(value, size.bytes()).writer();
        let mut words = vcpu.local().vector.register(num).iter();
        return words.try_for_each(|word| writer.write(&word.get()));
    }
    let bytes = read(vcpu, reg)?.to_le_bytes();
    let size = reg.size().bytes();
    UserSlice::new(value, size)
        .writer()
        .write_slice(bytes.get(..size).ok_or(EINVAL)?)
}

/// Handles `KVM_SET_ONE_REG`. `value` is where user space has the value.
pub(crate) fn set(vcpu: &LockedVcpu<'_, Riscv>, id: u64, value: UserPtr) -> Result {
    let reg = decode(vcpu, id)?;
    if let (Reg::SbiExt(_), true) = (reg, vcpu.local().has_run.get()) {
        return Err(EBUSY);
    }
    if let Reg::Vector(VectorReg::V { num, size }) = reg {
        let mut reader = UserSlice::new(value, size.bytes()).reader();
        let mut words = vcpu.local().vector.register(num).iter();
        return words.try_for_each(|word| reader.read().map(|value| word.set(value)));
    }
    let mut bytes = [0; size_of::<u64>()];
    let size = reg.size().bytes();
    UserSlice::new(value, size)
        .reader()
        .read_slice(bytes.get_mut(..size).ok_or(EINVAL)?)?;
    write(vcpu, reg, u64::from_le_bytes(bytes))
}

/// Handles `KVM_GET_REG_LIST`. `list` is a count, followed by space for that number of identifiers.
pub(crate) fn list(vcpu: &LockedVcpu<'_, Riscv>, list: UserPtr) -> Result {
    const COUNT_SIZE: usize = size_of::<u64>();
    let mut count = 0;
    try_for_each(vcpu, &mut |_| {
        count += 1;
        Ok(())
    })?;
    let (mut reader, mut writer) = UserSlice::new(list, COUNT_SIZE).reader_writer();
    let room = reader.read::<u64>()?;
    writer.write(&(count as u64))?;
    if room < count as u64 {
        return Err(E2BIG);
    }
    let ids = list.wrapping_byte_add(COUNT_SIZE);
    let mut writer = UserSlice::new(ids, count * size_of::<u64>()).writer();
    try_for_each(vcpu, &mut |reg| writer.write(&reg.encode()))
}

/// Calls `f` with each register of a vCPU.
fn try_for_each(vcpu: &LockedVcpu<'_, Riscv>, f: &mut dyn FnMut(Reg) -> Result) -> Result {
    let each: &mut dyn FnMut(Reg) -> Result =
        &mut |reg| if exists(vcpu, reg) { f(reg) } else { Ok(()) };
    ConfigReg::all().map(Reg::Config).try_for_each(&mut *each)?;
    CoreReg::all().map(Reg::Core).try_for_each(&mut *each)?;
    GeneralCsr::all()
        .map(|csr| Reg::Csr(CsrReg::General(csr)))
        .try_for_each(&mut *each)?;
    AiaCsr::all()
        .map(|csr| Reg::Csr(CsrReg::Aia(csr)))
        .try_for_each(&mut *each)?;
    SmstateenCsr::all()
        .map(|csr| Reg::Csr(CsrReg::Smstateen(csr)))
        .try_for_each(&mut *each)?;
    ZicfissCsr::all()
        .map(|csr| Reg::Csr(CsrReg::Zicfiss(csr)))
        .try_for_each(&mut *each)?;
    TimerReg::all().map(Reg::Timer).try_for_each(&mut *each)?;
    FpReg::all().map(Reg::FpF).try_for_each(&mut *each)?;
    FpReg::all().map(Reg::FpD).try_for_each(&mut *each)?;
    VectorCsr::all()
        .map(|csr| Reg::Vector(VectorReg::Csr(csr)))
        .try_for_each(&mut *each)?;
    if let Some(size) = Size::from_bytes(vector::vlenb()) {
        RegNum::all()
            .map(|num| Reg::Vector(VectorReg::V { num, size }))
            .try_for_each(&mut *each)?;
    }
    IsaExtId::all()
        .map(|ext| Reg::IsaExt(ExtReg::Single(ext)))
        .try_for_each(&mut *each)?;
    SbiExtId::all()
        .map(|ext| Reg::SbiExt(ExtReg::Single(ext)))
        .try_for_each(&mut *each)?;
    StaReg::all()
        .map(|reg| Reg::SbiState(SbiStateReg::Sta(reg)))
        .try_for_each(&mut *each)?;
    FwftReg::all()
        .map(|reg| Reg::SbiState(SbiStateReg::Fwft(reg)))
        .try_for_each(&mut *each)
}

/// Returns whether a vCPU has a register.
fn exists(vcpu: &LockedVcpu<'_, Riscv>, reg: Reg) -> bool {
    let isa = vcpu.local().isa.get();
    match reg {
        Reg::Config(_)
        | Reg::Core(_)
        | Reg::Csr(CsrReg::General(_))
        | Reg::Timer(_)
        | Reg::IsaExt(ExtReg::MultiEnable(_) | ExtReg::MultiDisable(_))
        | Reg::SbiExt(ExtReg::MultiEnable(_) | ExtReg::MultiDisable(_)) => true,
        Reg::Csr(CsrReg::Smstateen(_)) => isa.has(IsaExtId::Smstateen),
        Reg::FpF(_) => isa.has(IsaExtId::F),
        Reg::FpD(_) => isa.has(IsaExtId::D),
        Reg::IsaExt(ExtReg::Single(ext)) => isa::is_known(ext),
        Reg::SbiExt(ExtReg::Single(ext)) => sbi_ext::default_on(ext).is_some(),
        Reg::Vector(_) => isa.has(IsaExtId::V),
        Reg::Csr(CsrReg::Aia(_)) => isa.has(IsaExtId::Ssaia),
        Reg::Csr(CsrReg::Zicfiss(_)) => isa.has(IsaExtId::Zicfiss),
        Reg::SbiState(reg) if !vcpu.local().sbi.get().has(reg.extension()) => false,
        Reg::SbiState(SbiStateReg::Fwft(reg)) => vcpu::supports_feature(vcpu, reg.feature),
        Reg::SbiState(SbiStateReg::Sta(_)) => true,
    }
}

/// Decodes the identifier of a register that the vCPU has.
fn decode(vcpu: &LockedVcpu<'_, Riscv>, id: u64) -> Result<Reg> {
    let isa = vcpu.local().isa.get();
    let reg = Reg::decode(id).map_err(|e| match e {
        // If the vCPU has no register of the type at all, the size does not matter.
        IdError::InvalidSize(RegType::FpF) if !isa.has(IsaExtId::F) => ENOENT,
        IdError::InvalidSize(RegType::FpD) if !isa.has(IsaExtId::D) => ENOENT,
        IdError::InvalidSize(RegType::Vector) if !isa.has(IsaExtId::V) => ENOENT,
        IdError::NoSbiState(Some(ext)) if vcpu.local().sbi.get().has(ext) => ENOENT,
        IdError::InvalidSize(_) | IdError::NoSbiState(_) => EINVAL,
        IdError::NotFound => ENOENT,
    })?;
    match (exists(vcpu, reg), reg) {
        (true, Reg::Vector(VectorReg::V { size, .. })) if size.bytes() != vector::vlenb() => {
            Err(EINVAL)
        }
        (true, _) => Ok(reg),
        (false, Reg::SbiState(reg)) if !vcpu.local().sbi.get().has(reg.extension()) => Err(EINVAL),
        (false, _) => Err(ENOENT),
    }
}

fn read(vcpu: &LockedVcpu<'_, Riscv>, reg: Reg) -> Result<u64> {
    let local = vcpu.local();
    let regs = Regs::of(vcpu);
    Ok(match reg {
        Reg::Config(reg) => read_config(vcpu, reg),
        Reg::Core(CoreReg::Pc) => regs.sepc(),
        Reg::Core(CoreReg::X(gpr)) => regs.gpr(gpr),
        Reg::Core(CoreReg::Mode) if regs.sstatus().spp().into_bool() => MODE_S,
        Reg::Core(CoreReg::Mode) => MODE_U,
        Reg::Csr(CsrReg::General(csr)) => read_csr(vcpu, csr),
        Reg::Csr(CsrReg::Smstateen(SmstateenCsr::Sstateen0)) => local.user_csrs.get().sstateen0,
        Reg::Csr(CsrReg::Aia(csr)) => read_aia_csr(vcpu, csr),
        Reg::Csr(CsrReg::Zicfiss(ZicfissCsr::Ssp)) => local.ssp.get(),
        Reg::Timer(reg) => read_timer(vcpu, reg),
        Reg::FpF(FpReg::F(n)) => u64::from(regs.fp_f(n.index())),
        Reg::FpD(FpReg::F(n)) => regs.fp_d(n.index()),
        Reg::FpF(FpReg::Fcsr) => u64::from(regs.fcsr(FpFormat::Single)),
        Reg::FpD(FpReg::Fcsr) => u64::from(regs.fcsr(FpFormat::Double)),
        Reg::IsaExt(ext) => {
            let isa = local.isa.get();
            read_ext(ext, |ext| isa::is_known(ext) && isa.has(ext))
        }
        Reg::SbiExt(ext) => {
            let sbi = local.sbi.get();
            read_ext(ext, |ext| sbi.has(ext))
        }
        Reg::Vector(VectorReg::Csr(csr)) => vector::csr(vcpu, csr),
        // The vector registers are larger than what this returns; `get()` reads them.
        Reg::Vector(VectorReg::V { .. }) => return Err(ENOENT),
        Reg::SbiState(SbiStateReg::Fwft(reg)) => local.fwft.get().read(reg),
        Reg::SbiState(SbiStateReg::Sta(StaReg::ShmemLo)) => local.steal.get().shmem(),
        // An address has 64 bits at most.
        Reg::SbiState(SbiStateReg::Sta(StaReg::ShmemHi)) => 0,
    })
}

fn write(vcpu: &LockedVcpu<'_, Riscv>, reg: Reg, value: u64) -> Result {
    let local = vcpu.local();
    let regs = Regs::of(vcpu);
    match reg {
        Reg::Config(reg) => return write_config(vcpu, reg, value),
        Reg::Core(CoreReg::Pc) => regs.set_sepc(value),
        Reg::Core(CoreReg::X(gpr)) => regs.set_gpr(gpr, value),
        Reg::Core(CoreReg::Mode) => {
            regs.set_sstatus(regs.sstatus().with_spp(value == MODE_S));
        }
        Reg::Csr(CsrReg::General(csr)) => write_csr(vcpu, csr, value),
        Reg::Csr(CsrReg::Smstateen(SmstateenCsr::Sstateen0)) => {
            let mut env = local.user_csrs.get();
            let hstateen0 = local.config.get().hstateen0.into_raw();
            env.sstateen0 = warl::sstateen0(value, hstateen0);
            local.user_csrs.set(env);
        }
        Reg::Csr(CsrReg::Aia(csr)) => write_aia_csr(vcpu, csr, value),
        Reg::Csr(CsrReg::Zicfiss(ZicfissCsr::Ssp)) => local.ssp.set(warl::ssp(value)),
        Reg::Timer(reg) => return write_timer(vcpu, reg, value),
        Reg::FpF(FpReg::F(n)) => regs.set_fp_f(n.index(), value as u32),
        Reg::FpD(FpReg::F(n)) => regs.set_fp_d(n.index(), value),
        Reg::FpF(FpReg::Fcsr) => regs.set_fcsr(FpFormat::Single, value as u32),
        Reg::FpD(FpReg::Fcsr) => regs.set_fcsr(FpFormat::Double, value as u32),
        Reg::IsaExt(ext) => {
            return write_ext(ext, value, |ext, value| write_isa_ext(vcpu, ext, value));
        }
        Reg::SbiExt(ext) => {
            return write_ext(ext, value, |ext, value| write_sbi_ext(vcpu, ext, value));
        }
        Reg::Vector(VectorReg::Csr(csr)) => return write_vector_csr(vcpu, csr, value),
        Reg::Vector(VectorReg::V { .. }) => return Err(ENOENT),
        Reg::SbiState(SbiStateReg::Fwft(reg)) => {
            let mut fwft = local.fwft.get();
            fwft.write(guest_config::choices(), reg, value)
                .ok_or(EINVAL)?;
            local.fwft.set(fwft);
            vcpu::update_config(vcpu);
        }
        Reg::SbiState(SbiStateReg::Sta(StaReg::ShmemLo)) => {
            local.steal.set(StealTime::at(value).ok_or(EINVAL)?);
        }
        Reg::SbiState(SbiStateReg::Sta(StaReg::ShmemHi)) if value != 0 => return Err(EINVAL),
        Reg::SbiState(SbiStateReg::Sta(StaReg::ShmemHi)) => {}
    }
    Ok(())
}

fn read_config(vcpu: &LockedVcpu<'_, Riscv>, reg: ConfigReg) -> u64 {
    let local = vcpu.local();
    match reg {
        ConfigReg::Isa => local.isa.get().letters(),
        // Guests have the block sizes of the host.
        ConfigReg::ZicbomBlockSize => features::cache_block_size(bindings::RISCV_ISA_EXT_ZICBOM),
        ConfigReg::ZicbozBlockSize => features::cache_block_size(bindings::RISCV_ISA_EXT_ZICBOZ),
        ConfigReg::ZicbopBlockSize => features::cache_block_size(bindings::RISCV_ISA_EXT_ZICBOP),
        ConfigReg::SatpMode => features::satp_mode(),
        ConfigReg::Mvendorid => local.machine.get().mvendorid,
        ConfigReg::Marchid => local.machine.get().marchid,
        ConfigReg::Mimpid => local.machine.get().mimpid,
    }
}

fn write_config(vcpu: &LockedVcpu<'_, Riscv>, reg: ConfigReg, value: u64) -> Result {
    let local = vcpu.local();
    if let ConfigReg::Isa = reg {
        // The register has a bit for each letter from A to Y.
        const LETTERS: u64 = (1 << 25) - 1;
        if value & !LETTERS != 0 {
            return Err(EINVAL);
        }
    }
    if value == read_config(vcpu, reg) {
        return Ok(());
    }
    match reg {
        // Zero means that the guest has no such extension, which another register decides.
        ConfigReg::ZicbomBlockSize | ConfigReg::ZicbozBlockSize | ConfigReg::ZicbopBlockSize
            if value == 0 =>
        {
            return Ok(())
        }
        ConfigReg::ZicbomBlockSize
        | ConfigReg::ZicbozBlockSize
        | ConfigReg::ZicbopBlockSize
        | ConfigReg::SatpMode => return Err(EINVAL),
        _ if local.has_run.get() => return Err(EBUSY),
        _ => {}
    }
    let mut machine = local.machine.get();
    match reg {
        ConfigReg::Isa => {
            local.isa.set(local.isa.get().with_letters(value));
            vcpu::reset_units(vcpu);
        }
        ConfigReg::Mvendorid => machine.mvendorid = value,
        ConfigReg::Marchid => machine.marchid = value,
        _ => machine.mimpid = value,
    }
    local.machine.set(machine);
    Ok(())
}

fn read_csr(vcpu: &LockedVcpu<'_, Riscv>, csr: GeneralCsr) -> u64 {
    let local = vcpu.local();
    let mut csrs = local.csrs.get();
    match csr {
        GeneralCsr::Sstatus => csrs.vsstatus,
        GeneralCsr::Sie => csrs.vsie,
        GeneralCsr::Stvec => csrs.vstvec,
        GeneralCsr::Sscratch => csrs.vsscratch,
        GeneralCsr::Sepc => csrs.vsepc,
        GeneralCsr::Scause => csrs.vscause,
        GeneralCsr::Stval => csrs.vstval,
        GeneralCsr::Sip => {
            // Other threads may have changed levels since the vCPU ran.
            csrs.hvip = vcpu.shared().interrupts.apply_changes(csrs.hvip);
            set_csrs(vcpu, csrs);
            hvip_to_vsip(csrs.hvip)
        }
        GeneralCsr::Satp => local.activation.satp(),
        GeneralCsr::Scounteren => local.user_csrs.get().scounteren,
        GeneralCsr::Senvcfg => local.user_csrs.get().senvcfg,
    }
}

/// Sets a CSR of the guest to the legal value that a write of `value` by the guest would leave.
fn write_csr(vcpu: &LockedVcpu<'_, Riscv>, csr: GeneralCsr, value: u64) {
    let local = vcpu.local();
    let mut csrs = local.csrs.get();
    let mut env = local.user_csrs.get();
    let isa = local.isa.get();
    match csr {
        GeneralCsr::Sstatus => csrs.vsstatus = warl::sstatus(value, |ext| isa.has(ext)),
        GeneralCsr::Sie => csrs.vsie = warl::interrupts(value, |ext| isa.has(ext)),
        GeneralCsr::Stvec => csrs.vstvec = warl::stvec(csrs.vstvec, value),
        GeneralCsr::Sscratch => csrs.vsscratch = value,
        GeneralCsr::Sepc => csrs.vsepc = warl::sepc(value),
        GeneralCsr::Scause => csrs.vscause = warl::scause(value),
        GeneralCsr::Stval => csrs.vstval = value,
        GeneralCsr::Sip => {
            vcpu.shared().interrupts.forget_changes();
            // The timer has its own registers. With Sstc, nobody would lower the bit again.
            let pending = warl::interrupts(value, |ext| isa.has(ext));
            csrs.hvip = vsip_to_hvip(pending) & !VsInterrupt::Timer.bit();
        }
        GeneralCsr::Satp => {
            let activation = &local.activation;
            if let Some(support) = SATP_SUPPORT.as_ref() {
                activation.set_satp(warl::satp(activation.satp(), value, *support));
            }
        }
        GeneralCsr::Scounteren => env.scounteren = warl::scounteren(value),
        GeneralCsr::Senvcfg => {
            env.senvcfg = envcfg::senvcfg(value, |ext| isa.has(ext));
        }
    }
    local.user_csrs.set(env);
    set_csrs(vcpu, csrs);
    if let GeneralCsr::Sip = csr {
        timer::update_interrupt(vcpu);
        aia::restore_external(vcpu);
    }
}

/// Reads a CSR of the AIA. Those that have the upper half of another one where XLEN is 32 read as
/// zero.
fn read_aia_csr(vcpu: &LockedVcpu<'_, Riscv>, csr: AiaCsr) -> u64 {
    let csrs = vcpu.local().aia.get();
    match csr {
        AiaCsr::Siselect => csrs.vsiselect,
        AiaCsr::Iprio1 => csrs.priorities.hviprio1,
        AiaCsr::Iprio2 => csrs.priorities.hviprio2,
        AiaCsr::Sieh | AiaCsr::Siph | AiaCsr::Iprio1h | AiaCsr::Iprio2h => 0,
    }
}

/// Sets a CSR of the AIA to the legal value that a write of `value` by the guest would leave.
fn write_aia_csr(vcpu: &LockedVcpu<'_, Riscv>, csr: AiaCsr, value: u64) {
    let local = vcpu.local();
    let mut csrs = local.aia.get();
    match csr {
        AiaCsr::Siselect => csrs.vsiselect = AiaCsrs::legal_siselect(value),
        AiaCsr::Iprio1 => csrs.priorities.hviprio1 = value & AiaCsrs::hviprio1(),
        // The guest has none of these interrupts.
        AiaCsr::Iprio2 => {}
        AiaCsr::Sieh | AiaCsr::Siph | AiaCsr::Iprio1h | AiaCsr::Iprio2h => {}
    }
    local.aia.set(csrs);
    local.csrs_changed.set(true);
}

/// Changes the guest's CSRs in memory.
fn set_csrs(vcpu: &LockedVcpu<'_, Riscv>, csrs: Csrs) {
    let local = vcpu.local();
    local.csrs.set(csrs);
    local.csrs_changed.set(true);
    vcpu.shared().interrupts.snapshot(csrs.hvip, csrs.vsie);
}

fn write_vector_csr(vcpu: &LockedVcpu<'_, Riscv>, csr: VectorCsr, value: u64) -> Result {
    match csr {
        // The hart decides it.
        VectorCsr::Vlenb if value != vector::csr(vcpu, csr) => return Err(EINVAL),
        VectorCsr::Vlenb => {}
        _ => vector::set_csr(vcpu, csr, value),
    }
    Ok(())
}

fn read_timer(vcpu: &LockedVcpu<'_, Riscv>, reg: TimerReg) -> u64 {
    let time = &vcpu.vm().backend().time;
    let timer = &vcpu.shared().timer;
    match reg {
        TimerReg::Frequency => time.base.frequency,
        TimerReg::Time => time.now(),
        TimerReg::Compare => timer.deadline(),
        TimerReg::State if timer.is_on() => TIMER_ON,
        TimerReg::State => TIMER_OFF,
    }
}

fn write_timer(vcpu: &LockedVcpu<'_, Riscv>, reg: TimerReg, value: u64) -> Result {
    match reg {
        TimerReg::Frequency if value != vcpu.vm().backend().time.base.frequency => {
            return Err(EINVAL);
        }
        TimerReg::Frequency => {}
        TimerReg::Time => timer::set_time(vcpu, value),
        TimerReg::Compare => timer::set_unloaded(vcpu, value),
        // The time and the compare value decide everything.
        TimerReg::State => {}
    }
    Ok(())
}

fn read_ext<E: Numbered>(reg: ExtReg<E>, enabled: impl Fn(E) -> bool) -> u64 {
    let word = |bits: &mut dyn Iterator<Item = (u64, E)>| {
        bits.filter(|(_, ext)| enabled(*ext))
            .fold(0, |word, (bit, _)| word | bit)
    };
    match reg {
        ExtReg::Single(ext) => u64::from(enabled(ext)),
        ExtReg::MultiEnable(exts) => word(&mut exts.extensions()),
        ExtReg::MultiDisable(exts) => !word(&mut exts.extensions()),
    }
}

/// Enables or disables extensions, by 1 or 0 in the register of one extension, or by a bit for each
/// in a register of several. In the latter, an extension that cannot be changed stays as it is.
fn write_ext<E: Numbered>(reg: ExtReg<E>, value: u64, set: impl Fn(E, u64) -> Result) -> Result {
    let (exts, on) = match reg {
        ExtReg::Single(ext) => return set(ext, value),
        ExtReg::MultiEnable(exts) => (exts, 1),
        ExtReg::MultiDisable(exts) => (exts, 0),
    };
    for (bit, ext) in exts.extensions() {
        if value & bit != 0 {
            let _ = set(ext, on);
        }
    }
    Ok(())
}

fn write_isa_ext(vcpu: &LockedVcpu<'_, Riscv>, ext: IsaExtId, value: u64) -> Result {
    let local = vcpu.local();
    let set = local.isa.get();
    if !isa::is_known(ext) {
        return Err(ENOENT);
    }
    if u64::from(set.has(ext)) == value {
        return Ok(());
    }
    // Any other value would be a change.
    if local.has_run.get() {
        return Err(EBUSY);
    }
    let on = switch(value)?;
    let allowed = if on {
        isa::may_enable(ext)
    } else {
        isa::may_disable(ext)
    };
    if !allowed {
        return Err(EINVAL);
    }
    local.isa.set(set.with(ext, on));
    vcpu::reset_units(vcpu);
    Ok(())
}

fn write_sbi_ext(vcpu: &LockedVcpu<'_, Riscv>, ext: SbiExtId, value: u64) -> Result {
    let on = switch(value)?;
    if sbi_ext::default_on(ext).is_none() {
        return Err(ENOENT);
    }
    let sbi = &vcpu.local().sbi;
    sbi.set(sbi.get().with(ext, on));
    Ok(())
}

/// Returns whether the register of one extension enables it.
fn switch(value: u64) -> Result<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(EINVAL),
    }
}
